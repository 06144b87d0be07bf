/**
 * What grows with a pool, and what must not: `--growth`. Cost and memory by seats held, by features, by servers, and
 * the restart of a server by the entries its log has seen.
 *
 * Cost is CPU of the server that grants, beside operations a second, for the machine may be busy with other things.
 * Seats last an hour here, so that no renewals of a million seats are mixed in.
 */
import { LicdError } from '../lib/error.ts'
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import { connectNats, systemClock, systemRandom } from '../raft/index.ts'
import { ProcessPool, type PoolOptions } from '../test/pool-processes.ts'
import type { NamedProcess } from './contender.ts'
import { addFeatures, licd } from './contenders/licd.ts'
import type { SectionTable } from './figures.ts'
import { Fleet, type Sample } from './fleet.ts'
import { Holder } from './holder.ts'
import { used } from './machine.ts'
import type { LineChart } from './page/charts.ts'
import type { Run } from './sections.ts'

const layout = { processes: 1, inFlight: 16 }
const warmSeconds = 1
const seatSteps = [0, 100, 1_000, 10_000, 100_000, 1_000_000]
const featureSteps = [1, 10, 100, 1_000, 10_000]
const serverSteps = [3, 5, 9, 17, 32]
const entrySteps = [1_000, 10_000, 100_000, 1_000_000]
const operatorsAtOnce = 128
const long = { tickMs: 1_000, leaseTicks: 7_200, seatTicks: 3_600 }
/** The ledger remembers ids for 600 ticks: short ticks let it forget a million in time. */
const quick = { tickMs: 50, leaseTicks: 7_200, seatTicks: 3_600 }

export async function measureGrowth(run: Run): Promise<SectionTable[]> {
  return [await bySeats(run), await byFeatures(run), await byServers(run), await byEntries(run)]
}

function upTo(run: Run, steps: readonly number[]): number[] {
  const [least = 0] = steps
  return steps.filter(step => step <= Math.max(least, run.options.most))
}

/** The workers' own features. */
const own = Array.from({ length: layout.inFlight }, (_, n) => `f${n}`)

async function withPool<T>(options: PoolOptions, use: (pool: ProcessPool) => Promise<T>) {
  await using pool = await ProcessPool.start(options)
  return await use(pool)
}

/** Acquire and release at the first server. */
async function cost(run: Run, pool: ProcessPool): Promise<Sample> {
  const [row] = licd.rows
  if (row === undefined) throw new Error('no row')
  const servers = (): NamedProcess[] => pool.servers.map(name => ({ name, pid: pool.pid(name) }))
  const address = { urls: [pool.nats.url], servers: pool.servers }
  const fleet = await Fleet.open({ row, layout, address, servers })
  try {
    await fleet.measure(warmSeconds)
    return await fleet.measure(run.options.seconds)
  } finally {
    await fleet.close()
  }
}

function rssMiB(pool: ProcessPool, server: string): number {
  return used({ name: server, pid: pool.pid(server) }).rssMiB
}

async function bySeats(run: Run): Promise<SectionTable> {
  return await withPool(long, async pool => {
    const [server = ''] = pool.servers
    await addFeatures(pool.nats.url, [...own, 'held'], 6_000_000)
    const holder = await Holder.open(pool.nats.url)
    const rows: number[][] = []
    let empty = 0
    for (const seats of upTo(run, seatSteps)) {
      run.note(`growth: ${seats} seats held`)
      await holder.grow(server, 'held', seats)
      const { perSecond, serverMicros } = await cost(run, pool)
      const rss = rssMiB(pool, server)
      if (seats === 0) empty = rss
      const bytes = seats < 1_000 ? Number.NaN : ((rss - empty) * 2 ** 20) / seats
      rows.push([seats, perSecond, serverMicros[server] ?? 0, rss, bytes])
    }
    await holder.close()
    return growthTable({
      title: 'Seats held at the server that grants',
      unit: 'seats held',
      head: ['us CPU of the server', 'RSS MiB', 'bytes a seat'],
      rows,
    })
  })
}

async function byFeatures(run: Run): Promise<SectionTable> {
  return await withPool(long, async pool => {
    const [server = ''] = pool.servers
    const rows: number[][] = []
    let made = 0
    await addFeatures(pool.nats.url, own, 3_000_000)
    for (const features of upTo(run, featureSteps)) {
      // The workers' own and, at the bound, no more than a pool may have.
      const wanted = Math.min(features, 10_000 - own.length)
      run.note(`growth: ${features} features`)
      const names = Array.from({ length: wanted - made }, (_, n) => `more-${made + n}`)
      await addFeatures(pool.nats.url, names, 300)
      made = wanted
      const { perSecond, serverMicros } = await cost(run, pool)
      rows.push([features, perSecond, serverMicros[server] ?? 0, rssMiB(pool, server)])
    }
    return growthTable({
      title: 'Features of the pool',
      unit: 'features',
      head: ['us CPU of the server', 'RSS MiB'],
      rows,
    })
  })
}

async function byServers(run: Run): Promise<SectionTable> {
  return await withPool(long, async pool => {
    const [server = ''] = pool.servers
    const rows: number[][] = []
    let running = pool.servers.length
    await addFeatures(pool.nats.url, [...own, 'grown'], 3_000_000)
    for (const servers of upTo(run, serverSteps)) {
      run.note(`growth: ${servers} servers`)
      for (; running < servers; running++) {
        const name = `more${running}`
        await pool.join(name, server)
        await pool.startUntil(name, /waiting to be taken/)
        await pool.ctl(['servers', 'add', name, '--learner', '--within', '120'])
      }
      const { perSecond, serverMicros } = await cost(run, pool)
      const commandMs = await commandMilliseconds(pool, 20)
      rows.push([servers, perSecond, serverMicros[server] ?? 0, rssMiB(pool, server), commandMs])
    }
    return growthTable({
      title: 'Servers: three that vote, the others learn',
      unit: 'servers',
      head: ['us CPU of the server', 'RSS MiB', 'ms a command'],
      rows,
    })
  })
}

async function withOperator<T>(pool: ProcessPool, use: (ctl: CtlClient) => Promise<T>): Promise<T> {
  const bus = await connectNats({ servers: [pool.nats.url], name: 'bench operator' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 60_000 })
  try {
    return await use(ctl)
  } finally {
    ctl.close()
    await bus.close()
  }
}

const triesMax = 10

/** A machine that is busy lets some commands run out of time: they are made again, and count for all of it. */
async function grow(ctl: CtlClient): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await ctl.change('allocations-add', { feature: 'grown', count: 1 })
      return
    } catch (error) {
      const isLate = error instanceof LicdError && error.code === 'LICD_DEADLINE'
      if (!isLate || tries === triesMax) throw error
    }
  }
}

/** The mean of `count` commands, one after another. */
async function commandMilliseconds(pool: ProcessPool, count: number): Promise<number> {
  return await withOperator(pool, async ctl => {
    const from = performance.now()
    for (let n = 0; n < count; n++) await grow(ctl)
    return (performance.now() - from) / count
  })
}

async function byEntries(run: Run): Promise<SectionTable> {
  return await withPool(quick, async pool => {
    const last = pool.servers.at(-1) ?? ''
    const rows: number[][] = []
    await addFeatures(pool.nats.url, ['grown'], 3)
    let made = 0
    for (const entries of upTo(run, entrySteps)) {
      run.note(`growth: ${entries} entries`)
      const from = performance.now()
      await withOperator(pool, async ctl => {
        const workers = Array.from({ length: operatorsAtOnce }, async () => {
          while (made++ < entries) await grow(ctl)
        })
        await Promise.all(workers)
      })
      made = entries
      const perSecond = entries / ((performance.now() - from) / 1000)
      // As a crash leaves it: nothing was written down in order.
      await pool.kill(last, 'SIGKILL')
      const began = performance.now()
      await pool.startServer(last)
      rows.push([entries, perSecond, performance.now() - began, rssMiB(pool, last)])
    }
    return growthTable({
      title: 'Entries of the log, and the restart of a server after kill -9',
      unit: 'entries',
      head: ['ms until it serves', 'RSS MiB'],
      rows,
      rate: 'entries a second',
    })
  })
}

/** Rows: size, rate, then what `head` says. A chart for all but the rate. */
function growthTable(options: {
  readonly title: string
  readonly unit: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly number[])[]
  readonly rate?: string
}): SectionTable {
  const { title, unit, head, rows, rate = 'acquire + release a second' } = options
  const charts = head.flatMap((name, n): ({ kind: 'lines' } & LineChart)[] => {
    const points = rows.flatMap((row): [number, number][] => {
      const [size = 0, value = Number.NaN] = [row[0], row[n + 2]]
      return Number.isFinite(value) && size > 0 ? [[size, value]] : []
    })
    if (points.length < 2) return []
    const look = { kind: 'lines', title: `${name}, by ${unit}`, xAxis: unit, yAxis: name } as const
    const series = [{ name, colour: 'licd', points, isStrong: true }]
    return [{ ...look, series, xLog: true, yLog: false }]
  })
  return {
    title: `Growth: ${title}`,
    head: [unit, rate, ...head],
    rows: rows.map(([size = 0, ...values]) => [size.toLocaleString('en-US'), ...values]),
    charts,
  }
}
