/** `licd ctl code`: license codes, a vendor's signed text. */
import { readCodes } from '../../lib/ctl/pages.ts'
import { LicdError } from '../../lib/error.ts'
import type { CodeStatus } from '../../lib/protocol/ctl.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { changeOptions, sessionOptions, withSession } from '../session.ts'
import { formatDate, formatDuration, formatTable } from '../table.ts'
import { codeFilePositional, readCodeText } from '../vendor/code-text.ts'
import { printChanged } from './change.ts'
import { endWarning } from './code-end.ts'

const addCommand = defineCommand({
  command: 'add <file>',
  describe: 'Add a license code: a vendor\u2019s feature, or allocations of one',
  positionals: { file: codeFilePositional },
  options: changeOptions,
  examples: [
    ['ctl code add code.txt', 'the code in the file'],
    ['ctl code add - < code.txt', 'the code from standard input'],
  ],
  epilogue:
    'The pool takes codes made for its fingerprint by vendors it trusts (licd ctl vendor list).',
  run: async (args, program) => {
    const text = await readCodeText(args.file)
    const { inspectCode } = await import('../../lib/code/inspect.ts')
    // What is no code in form need not travel; whether it is to be believed is the pool's to say.
    const inspected = inspectCode(text)
    if (!inspected.ok) throw new LicdError(inspected.code, inspected.detail)
    return await withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('code-add', { text }, args.id)
      const { feature, allocations, codeId } = inspected.content
      const what = `code ${codeId} added: ${allocations} of ${feature}`
      printChanged(program, { json: args.json, what }, changed)
      return 0
    })
  },
})

const listCommand = defineCommand({
  command: 'list',
  describe: 'Show the license codes of the pool',
  positionals: {},
  options: sessionOptions,
  examples: [['ctl code list', 'all codes, also those that wait or have ended']],
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { codes, calendar, server } = await readCodes(client)
      if (args.json) {
        program.printJson({ answeredBy: server, codes, calendar })
        return 0
      }
      const byId = new Map(codes.map(code => [code.codeId, code]))
      program.print(
        formatTable(
          program,
          [
            { title: 'FEATURE' },
            { title: 'COUNT', right: true },
            { title: 'STATE' },
            { title: 'STARTS' },
            { title: 'EXPIRES' },
            { title: 'VENDOR' },
            { title: 'CUSTOMER' },
            { title: 'CODE' },
            { title: 'REMARK' },
          ],
          codes.map(code => [
            code.feature,
            code.allocations,
            code.state,
            formatDate(code.startsAt),
            formatDate(code.expiresAt),
            code.vendor,
            code.customer,
            code.codeId,
            remarkOn(code, byId, calendar),
          ]),
        ),
      )
      return 0
    }),
})

/** What an operator should know of a code: what follows it, what it waits for, what it allows, that it ends soon. */
function remarkOn(
  code: CodeStatus,
  byId: ReadonlyMap<string, CodeStatus>,
  calendar: number | undefined,
): string {
  const { state, renewedBy, renews, serves, limits = {}, endedEarly } = code
  if (state === 'ended') {
    if (endedEarly === undefined) return ''
    return endedEarly === 'revoked' ? 'its key was revoked' : 'removed'
  }
  const { seatMs, leaseMs, offlineDays } = limits
  const before = renews === undefined ? undefined : byId.get(renews)
  const waits = state === 'pending' && before !== undefined && before.state !== 'ended'
  const warning = state === 'active' ? endWarning(code.expiresAt, calendar) : undefined
  return [
    ...(warning === undefined ? [] : [warning.text]),
    ...(renewedBy === undefined ? [] : [`renewed by ${renewedBy.join(', ')}`]),
    ...(waits ? [`follows ${before.codeId}`] : []),
    ...(serves === undefined ? [] : [`serves ${serves.join(', ')}`]),
    ...(seatMs === undefined ? [] : [`seat ${formatDuration(seatMs)}`]),
    ...(leaseMs === undefined ? [] : [`lease ${formatDuration(leaseMs)}`]),
    ...(offlineDays === undefined ? [] : [`offline ${offlineDays} d`]),
  ].join('; ')
}

const removeCommand = defineCommand({
  command: 'remove <code>',
  describe: 'Remove a license code and its allocations',
  positionals: { code: { type: 'string', demandOption: true, describe: 'Id of the code' } },
  options: changeOptions,
  examples: [['ctl code remove code-17', 'what is in use is taken back as it comes free']],
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('code-remove', { codeId: args.code }, args.id)
      printChanged(program, { json: args.json, what: `code ${args.code} removed` }, changed)
      return 0
    }),
})

export const codeCommand = defineGroup(
  'code',
  'License codes',
  [addCommand, listCommand, removeCommand],
  [
    ['ctl code add code.txt', 'add a vendor\u2019s code'],
    ['ctl code list', 'all codes of the pool'],
  ],
)
