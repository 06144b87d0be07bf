/** `licd ctl watch`: the pool's events as they come. */
import { watchPool, type PoolEvent } from '../../lib/ctl/pool-events.ts'
import { describeCode } from '../../lib/ctl/words.ts'
import type { SyncChange, SyncEvent } from '../../lib/protocol/event.ts'
import { systemClock } from '../../raft/system.ts'
import { defineCommand, readSeconds, readWhole } from '../command.ts'
import { harmlessLine } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'

export const watchCommand = defineCommand({
  command: 'watch',
  describe: 'Show changes of the distribution and of servers as they happen',
  positionals: {},
  options: {
    ...sessionOptions,
    all: {
      type: 'boolean',
      describe: 'Every server\u2019s sync events; else each revision once',
      default: false,
    },
    count: { type: 'number', describe: 'End after so many events' },
    for: { type: 'number', describe: 'End after so many seconds' },
  },
  examples: [
    ['ctl watch', 'a line for each change, until Ctrl-C'],
    ['ctl watch --server beta', 'what beta has applied, as it applies it'],
    ['ctl watch --json --for 60 > events.jsonl', 'a minute of events, for programs'],
  ],
  run: async (args, program) => {
    const count = args.count === undefined ? Infinity : readWhole('--count', args.count, 1, 1e9)
    const forMs = args.for === undefined ? undefined : readSeconds('--for', args.for, 1e7)
    return await withSession(args, program.environment, async ({ bus, client }) => {
      const select = selectEvents(args.server, args.all || args.json)
      const watch = { count, forMs, select }
      // The words `watching` on standard error: whoever waits for it misses nothing that comes after.
      const ended = watchEvents(
        watch,
        handle => watchPool(bus, client.pool, handle),
        event => {
          if (args.json) program.printJson({ at: systemClock.wall(), ...event })
          else
            for (const line of linesOf(event)) program.print(`${timeOfDay()} ${harmlessLine(line)}`)
        },
      )
      await client.ask('status', { limit: 0 })
      program.note(`watching pool ${client.pool}`)
      await ended
      return 0
    })
  },
})

interface Watch {
  readonly count: number
  readonly forMs: number | undefined
  readonly select: (event: PoolEvent) => boolean
}

/** Resolves at the count, at the time, or at Ctrl-C. */
function watchEvents(
  { count, forMs, select }: Watch,
  subscribe: (handle: (event: PoolEvent) => void) => { unsubscribe(): void },
  show: (event: PoolEvent) => void,
): Promise<void> {
  return new Promise(resolve => {
    let shown = 0
    const end = () => {
      subscription.unsubscribe()
      timer?.cancel()
      process.off('SIGINT', end)
      process.off('SIGTERM', end)
      resolve()
    }
    const subscription = subscribe(event => {
      if (shown >= count || !select(event)) return
      show(event)
      if (++shown >= count) end()
    })
    const timer = forMs === undefined ? undefined : systemClock.after(forMs, end)
    process.once('SIGINT', end)
    process.once('SIGTERM', end)
  })
}

/** Every server tells the same revision: unless all are wanted, the first to tell it is shown. */
function selectEvents(server: string | undefined, all: boolean): (event: PoolEvent) => boolean {
  let revision = 0
  return ({ type, event }) => {
    if (server !== undefined) return event.server === server
    if (all || type !== 'sync') return true
    if (event.revision <= revision) return false
    revision = event.revision
    return true
  }
}

function linesOf(event: PoolEvent): string[] {
  switch (event.type) {
    case 'gone':
      return [`${event.event.server} is gone: nobody listens there`]
    case 'code':
      return [describeCode(event.event)]
    case 'server':
      return [`${event.event.server} ${serverEvents[event.event.event] ?? event.event.event}`]
    case 'sync':
      return syncLines(event.event)
  }
}

const serverEvents: Readonly<Record<string, string>> = {
  started: 'started',
  leader: 'leads',
  follower: 'follows',
  'lease-lost': 'may not grant any more',
  lease: 'may grant',
  stopping: 'stops',
}

function syncLines({ revision, changes, features, more }: SyncEvent): string[] {
  const what = counted(changes.map(change => describeChange(change)))
  const shares = features.map(
    ({ name, free, shares: rows }) =>
      `${name}: free ${free}, ${rows.map(row => `${row.server} ${row.share}`).join(', ')}`,
  )
  const head = [...(what.length === 0 ? ['caught up'] : what), ...(more ? ['and more'] : [])]
  return [`r${revision} ${head.join('; ')}`, ...shares.map(text => `    ${text}`)]
}

/** The same thing many times in one turn is said once. */
function counted(texts: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].map(([text, count]) => (count === 1 ? text : `${text} (${count} times)`))
}

/** `borrow`, `lend` and the like in words; a type that is not known here is told as it is. */
function describeChange({ type, feature = '', by, to = '', taken = [] }: SyncChange): string {
  const count = taken.reduce((sum, part) => sum + part.count, 0)
  const givers = taken.map(part => describeGiver(part.source, part.server)).join(' and ')
  switch (type) {
    case 'borrow':
      if (taken.some(({ source }) => source === 'move')) {
        return `a seat of ${feature} moves from ${givers} to ${to}`
      }
      return `${to} borrows ${count} of ${feature} from ${givers}`
    case 'return':
      return `${givers} gives ${count} of ${feature} back`
    case 'lend':
      return `${givers} lends ${count} of ${feature} to ${to}`
    case 'tick':
      return `the free pool is handed out${feature === '' ? '' : `, ${feature}`}`
    case 'hello':
      return `${by.replace(/^server:/, '')} starts`
    default:
      return `${type}${feature === '' ? '' : ` ${feature}`} by ${by}`
  }
}

function describeGiver(source: string, server: string | undefined): string {
  if (server === undefined) return source === 'free' ? 'the free pool' : source
  return source === 'down' ? `${server} (down)` : server
}

function timeOfDay(): string {
  return new Date(systemClock.wall()).toISOString().slice(11, 23)
}
