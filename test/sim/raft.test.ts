/**
 * Whole clusters of cores under faults. To look at one failure: `RAFT_SEED=n`; `RAFT_SEEDS=n` runs more of them.
 */
import t from 'tap'
import { killer } from './raft-stories-killer.ts'
import { type RunResult, runSeed } from './raft-world.ts'

const enough = 120
const count = Number(process.env.RAFT_SEEDS ?? enough)

// A bound for a loaded machine; a tenth of it is usual.
t.setTimeout(Math.max(300_000, 250 * count))

if (process.env.RAFT_SEED !== undefined) {
  t.comment(runSeed(Number(process.env.RAFT_SEED)))
  t.pass('held')
} else {
  t.test('clusters of cores keep their promises, and recover', t => {
    const sum: Record<keyof RunResult, number> = runSeed(1)
    const before = process.cpuUsage()
    for (let seed = 2; seed <= count; seed++) {
      for (const [name, value] of Object.entries(runSeed(seed))) {
        sum[name as keyof RunResult] += value
      }
    }
    const { user, system } = process.cpuUsage(before)
    t.comment(JSON.stringify(sum), `${Math.round((sum.events * 1e6) / (user + system))} events/s`)
    t.ok(sum.events > 5000 * count, 'enough happened')
    if (count >= enough) t.ok(sum.events >= 1e6, 'a million events')
    t.ok(sum.idle < sum.events / 5, 'and not only time went by')
    t.ok(sum.elections > 8 * count && sum.commits > 100 * count)
    t.ok(sum.reads > 20 * count && sum.snapshots > 2 * count)
    t.ok(sum.changes > count / 4 && sum.damages > count / 4, 'members changed, disks lost entries')
    t.end()
  })
  t.test('schedules that take five servers and much luck', t => {
    t.doesNotThrow(() => killer.run())
    t.end()
  })
  t.test(
    'a snapshot hid what was committed and not handed out yet: its caller hears of it (seed 2416)',
    t => {
      t.ok(runSeed(2_416).commits > 0)
      t.end()
    },
  )
  t.test('a seed repeats its run', t => {
    t.same(runSeed(7, { membership: true }), runSeed(7, { membership: true }))
    t.end()
  })
}
