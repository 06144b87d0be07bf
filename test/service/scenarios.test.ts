import t from 'tap'
import { codeEnds } from './code-end.ts'
import { failovers } from './failover.ts'
import { schedules } from './schedules.ts'
import { snapshots } from './snapshot.ts'
import { stops } from './stop.ts'

for (const { name, run } of [...schedules, ...failovers, ...stops, ...snapshots, ...codeEnds]) {
  t.test(name, async t => run(t))
}
