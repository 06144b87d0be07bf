import t from 'tap'
import { codeEnds } from './code-end.ts'
import { edges } from './edges.ts'
import { failovers } from './failover.ts'
import { impostors } from './impostors.ts'
import { schedules } from './schedules.ts'
import { sdkScenarios } from './sdk.ts'
import { snapshots } from './snapshot.ts'
import { stops } from './stop.ts'

for (const { name, run } of [
  ...schedules,
  ...failovers,
  ...stops,
  ...snapshots,
  ...codeEnds,
  ...impostors,
  ...edges,
  ...sdkScenarios,
]) {
  t.test(name, async t => run(t))
}
