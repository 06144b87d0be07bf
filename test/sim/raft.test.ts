/**
 * Whole clusters of cores under faults. To look at one failure: `RAFT_SEED=n`, with `RAFT_SIZE` and
 * `RAFT_MEMBERSHIP=1`, `RAFT_HARSH=1` as the failure says; `RAFT_SEEDS=n` runs more of them.
 */
import t from 'tap'
import { type RunOptions, type RunResult, runSeed } from './raft-world.ts'

const count = Number(process.env.RAFT_SEEDS ?? 40)

// A bound for a loaded machine; a tenth of it is usual.
t.setTimeout(120_000)

const cases: readonly RunOptions[] = [
  { size: 1 },
  { size: 2 },
  { size: 3 },
  { size: 5 },
  { size: 3, harsh: true },
  { size: 5, harsh: true },
  { size: 3, membership: true },
]

if (process.env.RAFT_SEED !== undefined) {
  const size = Number(process.env.RAFT_SIZE ?? 3)
  const membership = process.env.RAFT_MEMBERSHIP === '1'
  const harsh = process.env.RAFT_HARSH === '1'
  t.comment(runSeed(Number(process.env.RAFT_SEED), { size, membership, harsh }))
  t.pass('held')
} else {
  for (const options of cases) {
    const { size, membership = false, harsh = false } = options
    t.test(`${size} voters${membership ? ', changing' : ''}${harsh ? ', harsh' : ''}`, t => {
      const sum: Record<string, number> = {}
      for (let seed = 1; seed <= count; seed++) {
        const result: RunResult = runSeed(seed, options)
        for (const [name, value] of Object.entries<number>({ ...result })) {
          sum[name] = (sum[name] ?? 0) + value
        }
      }
      t.comment(JSON.stringify(sum))
      t.ok((sum.commits ?? 0) > 10 * count, 'work was done')
      t.ok((sum.reads ?? 0) > 0, 'reads were answered')
      if (size > 2 && !harsh) t.ok((sum.snapshots ?? 0) > 0, 'snapshots were installed')
      if (membership) t.ok((sum.changes ?? 0) > count / 2, 'the membership changed')
      t.end()
    })
  }
  t.test('a seed repeats its run', t => {
    const options = { size: 3, membership: true }
    t.same(runSeed(7, options), runSeed(7, options))
    t.end()
  })
}
