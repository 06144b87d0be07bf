/** `licd ctl audit`: what operators did, or tried. */
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import type { AuditRecord } from '../../lib/ledger/state.ts'
import { ctlBounds } from '../../lib/protocol/ctl.ts'
import { systemClock } from '../../raft/system.ts'
import { defineCommand, readWhole } from '../command.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatTable } from '../table.ts'
import { readDate } from '../vendor/sign.ts'

const dayMs = 86_400_000
const lastMax = 1_000_000

export const auditCommand = defineCommand({
  command: 'audit',
  describe: 'Show what operators did, or tried, from the replicated audit log',
  positionals: {},
  options: {
    ...sessionOptions,
    last: { type: 'number', describe: 'Show the last so many', default: 50 },
    since: { type: 'string', describe: 'All since then: 2026-01-31, 2026-01-31T12:00Z, 7d' },
    after: { type: 'number', describe: 'All after record number so-and-so, to export what is new' },
  },
  examples: [
    ['ctl audit', 'the last 50'],
    ['ctl audit --since 7d', 'of the last week, by the pool\u2019s calendar'],
    ['ctl audit --after 1234 --json >> audit.jsonl', 'what is new, a JSON object a line'],
  ],
  epilogue:
    'The pool keeps the last 10,000 records; their numbers show what is gone. Where KEY stands, BY is proven: the ' +
    'command was signed by that operator\u2019s key. Elsewhere it is what a program claims.',
  run: async (args, program) => {
    const last = readWhole('--last', args.last, 1, lastMax)
    const after = args.after === undefined ? undefined : readWhole('--after', args.after, 0, 1e15)
    return await withSession(args, program.environment, async ({ client }) => {
      const since = args.since === undefined ? undefined : readSince(args.since)
      const isAll = since !== undefined || after !== undefined
      const { records, dropped } = await readAudit(client, isAll ? { after: after ?? 0 } : { last })
      const shown = since === undefined ? records : records.filter(({ at }) => at >= since)
      if (args.json)
        for (const record of shown) {
          program.printJson({
            ...record,
            identity: record.key === undefined ? 'claimed' : 'proven',
          })
        }
      else program.print(tableOf(program, shown))
      if (dropped > 0 && isAll) {
        program.note(`${dropped} records before these are gone: the pool keeps so many only`)
      }
      return 0
    })
  },
})

/** Records in their order, page by page; `dropped`: how many of those asked for the pool has no more. */
async function readAudit(
  client: CtlClient,
  range: { readonly after: number } | { readonly last: number },
): Promise<{ records: AuditRecord[]; dropped: number }> {
  const limit = ctlBounds.auditPageMax
  let at: number
  if ('after' in range) at = range.after
  else {
    const { last } = await client.ask('audit', { limit: 1 })
    at = Math.max(0, last - range.last)
  }
  const from = at
  const records: AuditRecord[] = []
  let first = 0
  for (;;) {
    const page = await client.ask('audit', { after: at, limit })
    first ||= page.first
    const newest = page.records.at(-1)
    // A server that is behind the one before answers less: what it does not know comes with the next export.
    if (newest === undefined || newest.seq <= at) break
    records.push(...page.records)
    at = newest.seq
    if (at >= page.last) break
  }
  return { records, dropped: Math.max(0, first - from - 1) }
}

function readSince(text: string): number {
  const days = /^(\d{1,6})d$/.exec(text)?.[1]
  return days === undefined ? readDate('--since', text) : systemClock.wall() - Number(days) * dayMs
}

function tableOf(
  program: Parameters<typeof formatTable>[0],
  records: readonly AuditRecord[],
): string {
  const isProven = records.some(({ key }) => key !== undefined)
  return formatTable(
    program,
    [
      { title: 'NO', right: true },
      { title: 'WHEN' },
      { title: 'BY' },
      ...(isProven ? [{ title: 'KEY' }] : []),
      { title: 'WHAT' },
      { title: 'OF' },
      { title: 'DETAIL' },
      { title: 'RESULT' },
    ],
    records.map(({ seq, at, by, key = '', action, subject = '', detail = '', outcome }) => [
      seq,
      new Date(at).toISOString().slice(0, 19).replace('T', ' '),
      by,
      ...(isProven ? [key.slice(0, 8)] : []),
      action,
      subject,
      detail,
      outcome,
    ]),
  )
}
