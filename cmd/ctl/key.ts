/** `licd ctl key`: which keys tokens are made with and heard by, and the switch to another one. */
import type { Answered } from '../../lib/ctl/answer.ts'
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { scatter } from '../../lib/ctl/pool-view.ts'
import { seconds } from '../../lib/seconds.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { changeOptions, sessionOptions, withSession } from '../session.ts'
import { formatTable } from '../table.ts'
import { printChanged } from './change.ts'

/** A server looks at its file and has the pool told what it found: that takes a commit. */
const lookMs = 3_000

type Keys = Answered<'key-list'>

/** What the pool knows once every server that answers has looked at its file, and what each uses. */
async function lookAtKeys(client: CtlClient): Promise<{
  readonly keys: Keys
  readonly own: ReadonlyMap<string, Keys>
}> {
  const first = await client.ask('key-list', {})
  const own = new Map([[first.server, first]])
  const others = first.holders
    .filter(({ server }) => server !== first.server)
    .map(({ server }) => ({ name: server }))
  await scatter(client, 'key-list', {}, others, answer => own.set(answer.server, answer), lookMs)
  return { keys: own.size === 1 ? first : await client.ask('key-list', {}), own }
}

const listCommand = defineCommand({
  command: 'list',
  describe: 'Show which keys there are (their ids), who holds them, and which is in use',
  positionals: {},
  options: sessionOptions,
  examples: [['ctl key list', 'after licd key add: whether every server has found it']],
  epilogue: 'Every server looks at its key file when it is asked.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { keys, own } = await lookAtKeys(client)
      const rows = rowsOf(keys, own)
      if (args.json) {
        for (const { kid, use, heldBy, notBy } of rows)
          program.printJson({ kid, use, heldBy, notBy })
        return 0
      }
      program.print(
        formatTable(
          program,
          [{ title: 'KEY' }, { title: 'USE' }, { title: 'HELD BY' }, { title: 'NOT KNOWN OF' }],
          rows.map(({ kid, use, heldBy, notBy }) => [kid, use, heldBy.join(' '), notBy.join(' ')]),
        ),
      )
      return 0
    }),
})

interface Row {
  readonly kid: string
  readonly use: string
  readonly heldBy: readonly string[]
  readonly notBy: readonly string[]
}

function rowsOf(keys: Keys, own: ReadonlyMap<string, Keys>): Row[] {
  const { holders, before, tickMs } = keys
  const heldAt = new Map(
    holders.map(({ server, kids }) => [server, own.get(server)?.held ?? kids] as const),
  )
  const inUse = keys.current ?? keys.making
  const useOf = (kid: string): string => {
    if (kid === inUse) return 'in use'
    const old = before.find(known => known.kid === kid)
    return old === undefined ? '' : `heard for ${seconds(old.leftTicks * tickMs)}`
  }
  const kids = new Set([...heldAt.values()].flat())
  for (const { kid } of before) kids.add(kid)
  if (inUse !== undefined) kids.add(inUse)
  return [...kids].map(kid => ({
    kid,
    use: useOf(kid),
    heldBy: [...heldAt].filter(([, held]) => held.includes(kid)).map(([server]) => server),
    notBy: [...heldAt].filter(([, held]) => !held.includes(kid)).map(([server]) => server),
  }))
}

const useCommand = defineCommand({
  command: 'use <kid>',
  describe: 'Make tokens with another key from now on; the old one is heard until no seat needs it',
  positionals: { kid: { type: 'string', demandOption: true, describe: 'Id of the key' } },
  options: changeOptions,
  examples: [['ctl key use 3q2-7wQvLk1xYz0a', 'once licd ctl key list shows it at every server']],
  epilogue:
    'Refused unless every server of the pool holds the key. All switch at one entry of the log. No seat is lost: ' +
    'the old key is heard until every seat that stands on it has been renewed or is over, then never again.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { keys } = await lookAtKeys(client)
      const { kid } = args
      const before = keys.current ?? keys.making
      const request = before === undefined ? { kid } : { kid, before }
      const changed = await client.change('key-use', request, args.id)
      printChanged(program, { json: args.json, what: `tokens are made with key ${kid}` }, changed)
      return 0
    }),
})

export const ctlKeyCommand = defineGroup(
  'key',
  'The keys of tokens: which there are, which is in use',
  [listCommand, useCommand],
  [
    ['ctl key list', 'who holds which'],
    ['ctl key use KID', 'switch to it'],
  ],
)
