/**
 * Whole pools under faults, the first seeds of `npm run sim:pool`. A failure prints the line that replays it.
 *
 * `SIM_SEEDS=n` runs more of them.
 */
import t from 'tap'
import { allBranches, type Branch } from './pool-coverage.ts'
import { poolReplayLine } from './pool-options.ts'
import { addPool, emptyPools, poolReport } from './pool-totals.ts'
import { PoolFailure, runPool } from './pool-world.ts'

const seeds = Number(process.env.SIM_SEEDS ?? 60)

/** Taken in some hundred seeds, and not surely in these. */
const seldom: ReadonlySet<Branch> = new Set([
  'return refused',
  'incarnation over',
  'removed server forgotten',
  'moved again',
  'move refused',
  'past incarnation refused',
  'hand-over void',
  'deadline refused',
  'installed with promises',
  'installed with moves',
  'update: offer',
  'update: down',
  'update: none',
  'server added',
  'server promoted',
  'server demoted',
  'server removed',
  'code ended',
  'suspended server',
  'snapshot installed',
  'spare instead of move',
  'moved from a silent server',
  'update: free',
])

// A bound for a loaded machine; a tenth of it is usual.
t.setTimeout(900_000)

t.test('pools under faults', t => {
  const totals = emptyPools()
  const cpu = process.cpuUsage()
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      addPool(totals, runPool({ seed }))
    } catch (error) {
      if (!(error instanceof PoolFailure)) throw error
      t.fail(`${error.message}\n  replay: ${poolReplayLine({ seed })}`)
      break
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  totals.cpuSeconds = (user + system) / 1e6
  t.comment(poolReport(totals))
  const { sums, branches } = totals
  t.ok((sums.granted ?? 0) > 50 * seeds, 'much was granted')
  t.ok((sums.moved ?? 0) > 2 * seeds, 'much was moved')
  t.ok((sums.undecided ?? 0) === 0, 'histories were decided')
  const never = allBranches.filter(branch => !seldom.has(branch) && (branches[branch] ?? 0) === 0)
  t.strictSame(never, [], 'each branch of the rules was taken')
  t.end()
})

t.test('a seed repeats its run', t => {
  const [one, other] = [runPool({ seed: 7 }), runPool({ seed: 7 })]
  t.same(
    { ...one, coverage: [...one.coverage.counts] },
    { ...other, coverage: [...other.coverage.counts] },
  )
  t.end()
})

// What the pool's simulator found, made as small as it goes. Each run failed before it was mended.
const found = [
  {
    why: 'a late renewal of the old server made a client release a seat that was moved (I3)',
    request: {
      ...{
        seed: 329,
        scene: 'none' as const,
        faultsMs: 7_317,
        servers: 4,
        without: ['settings', 'aim-turn'],
      },
      only: ['codes#1', 'clog#1', 'codes#2'],
    },
  },
  {
    why: 'a leader whose disk hangs ticked on at its old pace (R2)',
    request: { seed: 95, scene: 'none' as const },
  },
  {
    why: 'who waited for more than the pool owned any more kept all others waiting (R12)',
    request: { seed: 144, scene: 'none' as const },
  },
  {
    why: 'ticks of before a book was written counted as time that passed since (R7, I3)',
    request: { seed: 165, scene: 'alone' as const },
  },
  {
    why: 'two ticks that came at once after a suspension were taken for early when ticks got faster (check of R2)',
    request: { seed: 14, scene: 'leaves' as const },
  },
  {
    why: 'a server crashed with the request that was to found the pool, which was not asked again (world)',
    request: { seed: 100_034 },
  },
  {
    why: 'a client that cannot tell its uptime slept for 1.8 s and believed in a seat of 1.9 s (R4, I3)',
    request: { seed: 231, scene: 'none' as const },
  },
  {
    why: 'a server that napped again and again, too shortly to be called asleep, believed its lease for too long (R3, I3)',
    request: { seed: 8_001, scene: 'edge' as const },
  },
  {
    why: 'a client came back to a server that had not heard that its seat went along, and was renewed there (R6, R11, I3)',
    request: { seed: 3_011, scene: 'alone' as const },
  },
  {
    why: 'a command acknowledged long after its deadline was to be remembered as long from then on (check of I6)',
    request: { seed: 9_024, scene: 'edge' as const },
  },
  {
    why: 'leases of 270 ms could be set, which no disk keeps up: every seat was lost (settings, liveness)',
    request: {
      ...{ seed: 1_048, servers: 2, clients: 3, faultsMs: 2_178 },
      ...{ without: ['part'], only: ['settings#1'] },
    },
  },
  {
    why: 'a voter left 22 ms after another lost its disk, who was still counted on: no majority ever after (liveness)',
    request: { seed: 4_646, servers: 3, faultsMs: 3_107, without: ['allocations'] },
  },
  {
    why: 'messages that were held up came long after the faults were over, and all later ones behind them (world)',
    request: { seed: 10_708 },
  },
]
for (const { why, request } of found) {
  t.test(why, t => {
    t.ok(runPool(request).granted > 0)
    t.end()
  })
}
