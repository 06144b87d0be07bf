/** `licd vendor inspect`: what a license code claims. */
import { LicdError } from '../../lib/error.ts'
import type { CodeContent } from '../../lib/ledger/command.ts'
import { defineCommand } from '../command.ts'
import { harmless } from '../program.ts'
import { formatDate, formatDuration } from '../table.ts'
import { codeFilePositional, readCodeText } from './code-text.ts'

export const inspectCommand = defineCommand({
  command: 'inspect <file>',
  describe: 'Show what a license code claims, without checking its signature',
  positionals: { file: codeFilePositional },
  options: { json: { type: 'boolean', describe: 'Print JSON for programs', default: false } },
  examples: [
    ['vendor inspect code.txt', 'what the code says'],
    ['vendor inspect - < code.txt', 'the same from standard input'],
  ],
  run: async ({ file, json }, program) => {
    const { inspectCode } = await import('../../lib/code/inspect.ts')
    const inspected = inspectCode(await readCodeText(file))
    if (!inspected.ok) throw new LicdError(inspected.code, inspected.detail)
    const { header, content, fingerprint } = inspected
    if (json) {
      program.printJson({ verified: false, header, fingerprint, ...content })
      return 0
    }
    const rows = [
      ['code', content.codeId],
      ['kind', content.kind === 'feature' ? 'a feature with its allocations' : 'more allocations'],
      ['feature', content.feature],
      ['allocations', String(content.allocations)],
      ['vendor', content.vendor],
      ['customer', content.customer],
      ['pool', fingerprint],
      ['starts', formatDate(content.startsAt)],
      ['expires', formatDate(content.expiresAt)],
      ['issued', formatDate(content.issuedAt)],
      ...newerRows(content),
      ['signed by', `${header.kid ?? 'no key named'} (${header.alg})`],
    ]
    for (const [name = '', value = ''] of rows) {
      program.print(`${name.padEnd(codeLabelWidth)}${harmless(value)}`)
    }
    program.note('not verified: anybody can write this; licd vendor verify checks the signature')
    return 0
  },
})

function newerRows({ limits = {}, serves, renews }: CodeContent): string[][] {
  const { leaseMs, seatMs, offlineDays } = limits
  return [
    ...(renews === undefined ? [] : [['renews', renews]]),
    ...(serves === undefined ? [] : [['serves', serves.join(', ')]]),
    ...(leaseMs === undefined ? [] : [['lease max', formatDuration(leaseMs)]]),
    ...(seatMs === undefined ? [] : [['seat max', formatDuration(seatMs)]]),
    ...(offlineDays === undefined ? [] : [['offline', `${offlineDays} days`]]),
  ]
}

const codeLabelWidth = 'allocations'.length + 2
