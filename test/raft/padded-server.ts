/**
 * One server of a padded pool, a process of its own: real NATS, LevelDB, and a state machine of any size.
 *
 * Its parent says what it is to do and asks what it measured, over the channel of `fork`.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import {
  bootstrap,
  configurationOf,
  connectNats,
  openLevelStorage,
  startNode,
  systemClock,
  systemRandom,
  type ConfigurationChange,
  type LatenessFigures,
  type NodeStatus,
  type RaftNode,
  type RaftSettings,
  type Storage,
} from '../../raft/index.ts'
import { lockFolder } from '../../raft/folder-lock.ts'
import { LevelDisk } from '../../raft/level-disk.ts'
import { openLogStore } from '../../raft/open-store.ts'
import { fill, Padded, put } from './padded.ts'
import { Stretches, type Pauses, type Stretch } from './stretches.ts'

export interface PaddedServerOptions {
  readonly id: string
  readonly url: string
  readonly folder: string
  readonly cluster: string
  /** Founds the pool with these, when its folder is new. */
  readonly found: readonly string[] | undefined
  readonly settings: RaftSettings
  readonly snapshotEveryEntries: number
}

/** What a server may be waited for. All that is named must hold. */
export interface Wanted {
  /** It leads, and a majority follows. */
  readonly leads?: true
  readonly rows?: number
  /** At least. */
  readonly restores?: number
  readonly lastApplied?: number
  /** Further than that. */
  readonly snapshotBeyond?: number
  /** All that it has is applied. */
  readonly caughtUp?: true
}

export type Order =
  | { readonly kind: 'report' }
  /** Answers with a report once it is so, or when the server has failed. */
  | { readonly kind: 'wait'; readonly wanted: Wanted }
  /** Measures from here on. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'fill'; readonly rows: number }
  /** While it leads it proposes so many commands a second, 0 for none. */
  | { readonly kind: 'traffic'; readonly perSecond: number }
  | { readonly kind: 'change'; readonly change: ConfigurationChange }
  | { readonly kind: 'stop' }

export interface Report {
  readonly status: NodeStatus
  readonly lateness: LatenessFigures
  /** Longest delay of a timer of 2 ms, and its percentiles. */
  readonly loop: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }
  readonly stretches: Readonly<Record<string, Stretch>>
  readonly pauses: Pauses
  readonly rssMiB: number
  readonly rows: number
  readonly digest: string
  readonly restores: number
  readonly committed: number
  readonly notCommitted: number
  readonly slowestMs: number
  readonly snapshots: readonly string[]
  readonly fatal: string | undefined
}

const options = JSON.parse(process.argv[2] ?? '{}') as PaddedServerOptions
const machine = new Padded()
const stretches = new Stretches()
const loop = monitorEventLoopDelay({ resolution: 2 })
const snapshots: string[] = []
let committed = 0
let notCommitted = 0
let slowestMs = 0
let rssMiB = 0
let perSecond = 0
let fatal: string | undefined
const waiting = new Set<() => void>()
let isLooking = false
let sums = 0
machine.changed = lookSoon

async function open(): Promise<RaftNode> {
  const { id, url, folder, cluster, settings, snapshotEveryEntries } = options
  if (options.found !== undefined) await found(options.found)
  const bus = await connectNats({ servers: url, name: id, waitMs: 10_000 })
  const storage = await openTimed(folder)
  const node = startNode({
    ...{ id, cluster, settings, machine, snapshotEveryEntries, random: systemRandom },
    bus: stretches.bus(bus),
    clock: stretches.clock(systemClock),
    storage: stretches.storage(storage),
    log: {
      debug() {},
      info: note,
      warn: note,
      error: note,
    },
  })
  node.onFatal(error => {
    fatal = error.message
    lookSoon()
  })
  node.onStatus(lookSoon)
  return node
}

/** As `openLevelStorage`, with a watch on how long the log is read and checked at a stretch. */
async function openTimed(folder: string): Promise<Storage> {
  const disk = stretches.disk(new LevelDisk(folder, await lockFolder(folder)))
  return await new Promise((resolve, reject) => {
    openLogStore(disk, (error, store) => {
      if (store === undefined) reject(error ?? new Error('no store'))
      else resolve(store)
    })
  })
}

function note(event: string, fields?: Readonly<Record<string, unknown>>): void {
  if (event === 'raft-snapshot') snapshots.push(JSON.stringify(fields))
  lookSoon()
  if (process.env['RAFT_TEST_LOG'] === undefined) return
  const time = performance.now().toFixed(0)
  process.stderr.write(`${time} ${options.id} ${event} ${JSON.stringify(fields ?? {})}\n`)
}

async function found(ids: readonly string[]): Promise<void> {
  const storage = await openLevelStorage(options.folder)
  await new Promise<void>((resolve, reject) => {
    storage.read((error, state) => {
      if (error !== undefined) reject(error)
      else if (state !== undefined) resolve()
      else {
        bootstrap(storage, { configuration: configurationOf(ids), commands: [] }, failed =>
          failed === undefined ? resolve() : reject(failed),
        )
      }
    })
  })
  await new Promise<void>(resolve => {
    storage.close(() => resolve())
  })
}

function report(node: RaftNode): Report {
  return {
    ...{ status: node.status, lateness: node.lateness },
    ...{ stretches: stretches.figures, pauses: stretches.pauses },
    loop: {
      p50Ms: loop.percentile(50) / 1e6,
      p99Ms: loop.percentile(99) / 1e6,
      maxMs: loop.max / 1e6,
    },
    ...{ rssMiB, rows: machine.rows, digest: machine.digest(), restores: machine.restores },
    ...{ committed, notCommitted, slowestMs, snapshots, fatal },
  }
}

/** Looks after whatever happened, once for all that happens in one turn of the loop. */
function lookSoon(): void {
  if (isLooking || waiting.size === 0) return
  isLooking = true
  setImmediate(() => {
    isLooking = false
    for (const look of [...waiting]) look()
  })
}

function isSo(wanted: Wanted, { role, quorate, ...status }: NodeStatus): boolean {
  const { leads, rows, restores = 0, lastApplied = 0, snapshotBeyond = -1, caughtUp } = wanted
  if (leads === true && !(role === 'leader' && quorate)) return false
  if (rows !== undefined && machine.rows !== rows) return false
  if (caughtUp === true && status.lastApplied !== status.lastIndex) return false
  const isThere = machine.restores >= restores && status.lastApplied >= lastApplied
  return isThere && status.snapshotIndex > snapshotBeyond
}

function waitFor(node: RaftNode, wanted: Wanted): Promise<Report> {
  return new Promise(resolve => {
    const look = (): void => {
      if (fatal === undefined && !isSo(wanted, node.status)) return
      waiting.delete(look)
      resolve(report(node))
    }
    waiting.add(look)
    look()
  })
}

function propose(node: RaftNode, data: Uint8Array, done?: () => void): void {
  const from = performance.now()
  node.propose(data, ({ outcome }) => {
    if (outcome === 'committed') committed++
    else notCommitted++
    slowestMs = Math.max(slowestMs, performance.now() - from)
    done?.()
  })
}

function obey(node: RaftNode, order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'report':
      return Promise.resolve(report(node))
    case 'wait':
      return waitFor(node, order.wanted)
    case 'reset':
      loop.reset()
      stretches.reset()
      committed = notCommitted = slowestMs = rssMiB = 0
      return Promise.resolve(undefined)
    case 'fill':
      return new Promise(resolve => {
        let left = 0
        const done = (): void => {
          if (--left === 0) resolve(undefined)
        }
        for (let rows = order.rows; rows > 0; rows -= 32, left++) {
          propose(node, fill(Math.min(rows, 32)), done)
        }
      })
    case 'traffic':
      perSecond = order.perSecond
      return Promise.resolve(undefined)
    case 'change':
      return new Promise(resolve => {
        node.changeConfiguration(order.change, resolve)
      })
    case 'stop':
      return new Promise(resolve => {
        node.stop(() => resolve(undefined))
      })
  }
}

loop.enable()
const node = await open()
let sent = 0
setInterval(() => {
  rssMiB = Math.max(rssMiB, process.memoryUsage.rss() / 2 ** 20)
  if (perSecond === 0 || node.status.role !== 'leader') return
  for (let n = 0; n < perSecond / 50; n++) propose(node, put(sent++ % machine.rows, `row ${sent}`))
}, 20)
/**
 * What this machine makes of a job that is always the same, a tenth of a millisecond of sums: stretches that are not
 * longer than the longest of these may be no longer than they should.
 */
setInterval(() => {
  stretches.time('the same sums', () => {
    for (let n = 0; n < 100_000; n++) sums = (sums + n) % 1_000_003
  })
}, 5)
process.on('message', ({ order, number }: { order: Order; number: number }) => {
  void obey(node, order).then(answer => {
    process.send?.({ number, answer }, () => {
      if (order.kind === 'stop') process.exit()
    })
  })
})
process.on('disconnect', () => process.exit())
process.send?.({ number: 0 })
