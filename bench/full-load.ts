/**
 * An hour in which both cores have more to do than they can, `npm run bench:full-load`: seats are taken and given back,
 * and allocations added, as fast as it goes. Nobody fails, so nobody may be elected.
 *
 * A line a minute; exit code 1 where a term began. A pool remembers 200,000 commands for their deadlines at least (31 ticks of
 * a second): a machine that makes more than some 6,400 changes a second meets that bound, and sees LICD_TOO_BUSY refused.
 */
import { readCommandLine, readNumber } from '../test/command-line.ts'
import { workersMax, type Layout, type Row } from './contender.ts'
import { ledgerFor } from './contenders/ledger.ts'
import { licd, startLicd } from './contenders/licd.ts'
import { grownFeature } from './drivers/ledger.ts'
import { Fleet, type Sample } from './fleet.ts'

const usage = 'npm run bench:full-load -- [MINUTES]\n  MINUTES   to go on for (60)'
const minutes = readNumber(usage, readCommandLine(usage, {}, 1).positionals[0], 60)
const loads = [
  { row: rowOf(licd.rows, 'licd.unawaited'), layout: { processes: 3, inFlight: 64 } },
  { row: rowOf(ledgerFor([]).rows, 'ledger.add'), layout: { processes: 1, inFlight: 64 } },
] satisfies { row: Row; layout: Layout }[]
const partSeconds = Math.min(60, minutes * 60)

const own = Array.from({ length: workersMax }, (_, n) => `f${n}`)
const running = await startLicd([...own, grownFeature])
const fleets: Fleet[] = []
try {
  const { pool, address } = running
  const servers = () => running.processes()
  for (const load of loads) fleets.push(await Fleet.open({ ...load, address, servers }))
  const term = async () => (await pool.ctl<{ term: number }>(['status'])).term
  const first = await term()
  for (let minute = 1; minute <= Math.ceil(minutes); minute++) {
    const samples = await Promise.all(fleets.map(fleet => fleet.measure(partSeconds)))
    const elections = (await term()) - first
    console.log(
      `${minute} min: ${samples.map(told).join('; ')}; ${elections} elections since the start`,
    )
    if (elections > 0) process.exitCode = 1
  }
} finally {
  await Promise.allSettled(fleets.map(fleet => fleet.close()))
  await running.stop()
}

function rowOf(rows: readonly Row[], id: string): Row {
  const found = rows.find(row => row.id === id)
  if (found === undefined) throw new Error(`no row ${id}`)
  return found
}

function told({ perSecond, latencies, failures }: Sample): string {
  const p99 = latencies.quantile(0.99).toFixed(1)
  return `${Math.round(perSecond)} a second, p99 ${p99} ms, refused ${JSON.stringify(failures)}`
}
