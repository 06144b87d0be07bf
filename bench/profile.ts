/**
 * `npm run bench -- --profile`: where the time goes. The three servers and one client process run under Node's CPU
 * profiler while seats are taken and returned; each profile becomes a flame graph beside it.
 *
 * The profiler costs something itself: read shares of the whole, not operations a second.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ProcessPool } from '../test/pool-processes.ts'
import { startChild, type Child } from './child.ts'
import type { Layout, Row } from './contender.ts'
import { ledgerFor } from './contenders/ledger.ts'
import { addFeatures, licd } from './contenders/licd.ts'
import { grownFeature } from './drivers/ledger.ts'
import { flameGraph, type CpuProfile, type Stretch } from './flame.ts'
import { Fleet } from './fleet.ts'

const program = fileURLToPath(new URL('../cmd/start.cjs', import.meta.url))
/** Of replicated changes a server's code is compiled later (`warmReplicated`): ask for more `--seconds` of them. */
const warmSeconds = 1

export interface ProfileOptions {
  readonly rows: readonly string[] | undefined
  readonly layout: Layout
  readonly seconds: number
  /** Where profiles and graphs go. */
  readonly folder: string
  readonly note: (text: string) => void
}

export async function profile(options: ProfileOptions): Promise<void> {
  const { folder, note, layout } = options
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const known = [...licd.rows, ...ledgerFor([]).rows.filter(({ operation }) => operation === 'add')]
  const rows = known.filter(
    ({ id }) => options.rows?.some(wanted => id.startsWith(wanted)) ?? id === 'licd.unawaited',
  )
  if (rows.length === 0) {
    throw new Error(
      `--rows: those that can be profiled are ${known.map(({ id }) => id).join(', ')}`,
    )
  }
  const stretches = new Map<string, Stretch>()
  for (const row of rows) stretches.set(row.id, await profileRow(row, options))
  for (const file of readdirSync(folder).filter(name => name.endsWith('.cpuprofile'))) {
    const text = readFileSync(join(folder, file), 'utf8')
    const graph = file.replace('.cpuprofile', '.html')
    const title = `${graph.replace('.html', '')}, ${layout.processes} x ${layout.inFlight} in flight`
    const id = [...stretches.keys()].find(name => file.startsWith(`${name}-`)) ?? ''
    const stretch = stretches.get(id) ?? { from: 0, until: Infinity }
    writeFileSync(join(folder, graph), flameGraph(JSON.parse(text) as CpuProfile, title, stretch))
    note(`flame graph: ${join(folder, graph)}`)
  }
}

/** When it was measured. */
async function profileRow(row: Row, options: ProfileOptions): Promise<Stretch> {
  const { folder, layout, seconds, note } = options
  note(`profiling ${row.id}`)
  const pool = await ProcessPool.start({ tickMs: 1_000, leaseTicks: 30, seatTicks: 20 })
  const servers: Child[] = []
  try {
    const features = Array.from({ length: layout.processes * layout.inFlight }, (_, n) => `f${n}`)
    await addFeatures(pool.nats.url, ['one', grownFeature, ...features], 3_000_000)
    // The same servers anew, under the profiler: what went before is in no profile.
    for (const name of pool.servers) {
      await pool.kill(name, 'SIGTERM')
      const data = join(pool.folder, name)
      const child = startChild(process.execPath, [
        ...profiler(folder, `${row.id}-${name}`),
        ...[program, 'serve', '--data', data, '--nats', pool.nats.url],
      ])
      servers.push(child)
      await child.until(/^ready /m)
    }
    const fleet = await Fleet.open({
      ...{ row, layout, servers: () => [] },
      address: { urls: [pool.nats.url], servers: pool.servers },
      nodeArguments: profiler(folder, `${row.id}-client`),
    })
    await fleet.measure(warmSeconds)
    await fleet.settle()
    const from = micros()
    const { perSecond } = await fleet.measure(seconds)
    const until = micros()
    note(`${row.id}: ${Math.round(perSecond)} a second under the profiler`)
    await fleet.close()
    return { from, until }
  } finally {
    // SIGTERM: a profile is written by a process that ends in order.
    await Promise.all(servers.map(server => server.stop()))
    await pool[Symbol.asyncDispose]()
  }
}

function micros(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

function profiler(folder: string, name: string): string[] {
  const names = [`--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`]
  return ['--cpu-prof', '--cpu-prof-interval', '500', ...names]
}
