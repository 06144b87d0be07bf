/**
 * What others see when a server is lost, and how long all of them take to come back: `--parts outage`.
 *
 * Gap: the longest time without an acknowledged write of any of 16 writers, around kill -9 of the leader. Restart: all
 * three stopped cleanly and started again, until the first write (licd: the first seat, with 100,000 held).
 * What clients of a killed server notice is told by `bench/fail-over.ts`.
 */
import { connect, type Client, type Seat } from '../lib/index.ts'
import { untilWorks } from './child.ts'
import type { Cluster, Contender, Running } from './contender.ts'
import { etcd, startEtcd } from './contenders/etcd.ts'
import { kv } from './contenders/kv.ts'
import { licd, startLicd } from './contenders/licd.ts'
import { grownFeature } from './drivers/ledger.ts'
import { spread, type SectionTable } from './figures.ts'
import { presentOf, startContender, type Run } from './sections.ts'
import { openWriter } from './writers.ts'

const writers = 16
const beforeMs = 1_500
/** At least so long is looked on after the kill, and at most so long for writes to come back. */
const afterMs = 3_000
const patienceMs = 30_000
const heldFeature = 'held'
const heldSeats = 100_000
const seatsAtOnce = 1_000
/** `seatTicks` of the servers that are measured. */
const seatMs = 20_000

type Subject = Contender & { readonly label: string }

export async function measureOutage(run: Run): Promise<SectionTable[]> {
  const present = presentOf(run, [licd, etcd, kv])
  const subjects = present.map((one): Subject => {
    const start = () => startLicd(['one', heldFeature, grownFeature])
    return { ...one, ...(one === licd ? { start } : {}), label: one.title }
  })
  if (present.includes(etcd)) {
    const start = (folder: string) => startEtcd(folder, true)
    subjects.splice(subjects.length - 1, 0, { ...etcd, start, label: 'etcd, tuned to 250 ms' })
  }
  const runs = Math.max(1, Math.min(5, run.options.pairs))
  const gaps = new Map<Subject, number[]>(subjects.map(one => [one, []]))
  const restarts = new Map<Subject, number[]>(subjects.map(one => [one, []]))
  const notes: string[] = []
  for (let number = 0; number < runs; number++) {
    for (const subject of subjects) {
      run.note(`outage: ${subject.label}, run ${number + 1} of ${runs}`)
      const gap = await withCluster(run, subject, running => gapOf(subject, running))
      run.note(`outage: ${subject.label}, gap ${Math.round(gap)} ms`)
      gaps.get(subject)?.push(gap)
      // Other servers: one that was killed goes on recovering for a while.
      const { ms, note } = await withCluster(run, subject, running => restartOf(subject, running))
      run.note(`outage: ${subject.label}, restart ${Math.round(ms)} ms`)
      restarts.get(subject)?.push(ms)
      if (note !== undefined && !notes.includes(note)) notes.push(note)
    }
  }
  return [
    outageTable('After kill -9 of the leader: longest gap without a write, 16 writers', gaps),
    outageTable('All three stopped and started: until the first write or grant', restarts, notes),
  ]
}

type Clustered = Running & { readonly cluster: Cluster }

async function withCluster<T>(
  run: Run,
  subject: Subject,
  use: (running: Clustered) => Promise<T>,
): Promise<T> {
  const running = await startContender(run, subject)
  const { cluster } = running
  try {
    if (cluster === undefined) throw new Error('nothing to lose')
    return await use({ ...running, cluster })
  } finally {
    await running.stop()
  }
}

async function gapOf(subject: Subject, running: Clustered): Promise<number> {
  const { cluster } = running
  const open = await Promise.all(
    Array.from({ length: writers }, (_, n) => openWriter(subject.name, running.address, n)),
  )
  const acknowledged: number[] = []
  let isOver = false
  const loops = open.map(async writer => {
    while (!isOver) {
      await writer.write()
      acknowledged.push(performance.now())
    }
  })
  await pause(beforeMs)
  const leader = await cluster.leader()
  const killedAt = performance.now()
  await cluster.kill(leader)
  const isBack = () => (acknowledged.at(-1) ?? 0) > performance.now() - 200
  while (performance.now() - killedAt < afterMs || !isBack()) {
    if (performance.now() - killedAt > patienceMs) break
    await pause(50)
  }
  const end = performance.now()
  isOver = true
  await Promise.all(open.map(writer => writer.close()))
  await Promise.all(loops)
  const of = acknowledged.filter(at => at <= end)
  const from = of.findLastIndex(at => at < killedAt)
  const seen = [...of.slice(Math.max(0, from)), end]
  return Math.max(...seen.map((at, n) => at - (seen[n - 1] ?? at)))
}

async function restartOf(
  subject: Subject,
  running: Clustered,
): Promise<{ ms: number; note?: string }> {
  const { address, cluster } = running
  await cluster.leader()
  const holders = subject.name === 'licd' ? await Holders.start(running) : undefined
  await cluster.stopAll()
  const from = performance.now()
  await Promise.all(cluster.names.map(name => cluster.start(name)))
  if (holders === undefined) {
    // A client of some of them gives up while nobody listens.
    const open = () => openWriter(subject.name, address, 0)
    const writer = await untilWorks(subject.name, open, patienceMs)
    await writer.write()
    const ms = performance.now() - from
    await writer.close()
    return { ms }
  }
  const client = await connect({ nats: address.urls, waitMs: patienceMs })
  for (;;) {
    try {
      await client.acquire('one', { timeout: patienceMs })
      break
    } catch {
      if (performance.now() - from > patienceMs) break
      await pause(10)
    }
  }
  const ms = performance.now() - from
  await client.close()
  const note = await holders.end()
  return { ms, note: `licd: ${note}` }
}

/** A client at each server, all of them together with many seats. */
class Holders {
  readonly #clients: readonly Client[]
  readonly #seats: readonly Seat[]
  #lost = 0

  private constructor(clients: readonly Client[], seats: readonly Seat[]) {
    this.#clients = clients
    this.#seats = seats
    for (const seat of seats) seat.on('lost', () => (this.#lost += seat.count))
  }

  static async start({ address }: Running): Promise<Holders> {
    const servers = address.servers ?? []
    const clients = await Promise.all(
      servers.map(server => connect({ nats: address.urls, prefer: server })),
    )
    const seats: Seat[] = []
    for (let n = 0; n < heldSeats / seatsAtOnce; n++) {
      const client = clients[n % clients.length]
      if (client === undefined) break
      seats.push(await client.acquire(heldFeature, { count: seatsAtOnce, timeout: patienceMs }))
    }
    return new Holders(clients, seats)
  }

  /** Watches until no promise of before the stop can last, so that what was not renewed has shown. */
  async end(): Promise<string> {
    await pause(seatMs)
    const kept = this.#seats.filter(({ valid }) => valid).reduce((sum, one) => sum + one.count, 0)
    await Promise.all(this.#clients.map(client => client.close()))
    return `${kept.toLocaleString('en-US')} seats kept, ${this.#lost.toLocaleString('en-US')} lost`
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

function outageTable(
  title: string,
  measured: ReadonlyMap<Subject, readonly number[]>,
  notes: readonly string[] = [],
): SectionTable {
  const rows = [...measured].map(([subject, ms]) => ({ subject, ms, ...spread(ms) }))
  return {
    title,
    ...(notes.length === 0 ? {} : { note: notes.join('; ') }),
    head: ['', 'median ms', 'least', 'most', 'runs'],
    rows: rows.map(({ subject, median, min, max, ms }) => [
      ...[subject.label, ...[median, min, max].map(Math.round)],
      String(ms.length),
    ]),
    charts: [
      {
        ...{ kind: 'ranges', title, axis: 'milliseconds', isLog: false },
        rows: rows.map(({ subject, median, min, max }) => ({
          ...{ name: subject.label, colour: subject.name, median, min, max },
          isStrong: subject.name === 'licd',
          note: 'ms',
        })),
      },
    ],
  }
}
