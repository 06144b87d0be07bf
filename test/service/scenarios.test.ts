import t from 'tap'
import { codeEnds } from './code-end.ts'
import { edges } from './edges.ts'
import { failovers } from './failover.ts'
import { impostors } from './impostors.ts'
import { schedules } from './schedules.ts'
import { sdkScenarios } from './sdk.ts'
import { snapshots } from './snapshot.ts'
import { stops } from './stop.ts'

// They run in one go: tap's 30 s would be noticed only after them, and a machine may be busy.
t.setTimeout(180_000)

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
