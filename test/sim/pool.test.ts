/**
 * Whole pools under faults, the first seeds of `npm run sim:pool`. A failure prints the line that replays it.
 *
 * `SIM_SEEDS=n` runs more of them.
 */
import t from 'tap'
import { allBranches } from './pool-coverage.ts'
import { poolReplayLine } from './pool-options.ts'
import { PoolFailure, runPool } from './pool-world.ts'

const seeds = Number(process.env.SIM_SEEDS ?? 40)

// A bound for a loaded machine.
t.setTimeout(280_000)

t.test('pools under faults', t => {
  const sums: Record<string, number> = {}
  let moved = 0
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      const result = runPool({ seed })
      moved += result.moved
      result.coverage.addTo(sums)
    } catch (error) {
      if (!(error instanceof PoolFailure)) throw error
      t.fail(`${error.message}\n  replay: ${poolReplayLine({ seed })}`)
      break
    }
  }
  t.ok(moved > 2 * seeds, 'much was moved')
  const never = allBranches.filter(branch => (sums[branch] ?? 0) === 0)
  t.comment(`never: ${never.join(', ')}`)
  t.end()
})
