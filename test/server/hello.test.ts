/** How a run gets its incarnation (R7), where the plain way does not work. */
import t from 'tap'
import { silentLogger } from '../../raft/ports.ts'
import type { CommandBody } from '../../lib/ledger/command.ts'
import { Hello, type Incarnation } from '../../lib/server/hello.ts'
import { Lease } from '../../lib/server/lease.ts'
import type { Outcome } from '../../lib/server/parts.ts'
import { Pool } from '../ledger/pool.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

t.test('a hello that took effect unheard, in a run that is over since, is said anew', async t => {
  const time = new VirtualTime()
  const clock = new VirtualClock(time)
  const pool = new Pool({ started: false })
  const begun: Incarnation[] = []
  const bootIds: string[] = []
  const hello = new Hello({
    server: 'a',
    clock,
    random: new SeededRandom(1),
    lease: new Lease(clock, silentLogger, 0),
    state: () => pool.ledger.state,
    barrier: done => void clock.after(1, () => done(true)),
    isReady: () => true,
    submit: (body: CommandBody, done: (outcome: Outcome) => void) => {
      if (body.type !== 'hello') return
      bootIds.push(body.bootId)
      const result = pool.run(body)
      const isFirst = bootIds.length === 1
      // Cut off for long: when a snapshot comes, the ledger has forgotten the id, and the run has gone down.
      if (isFirst) pool.ticks(700, [])
      const outcome: Outcome = isFirst
        ? { type: 'expired' }
        : { type: 'applied', result, duplicate: false }
      clock.after(1, () => done(outcome))
    },
    begin: incarnation => begun.push(incarnation),
    refused: () => t.fail('the pool knows it'),
  })
  hello.boot()
  time.run(5_000)
  t.strictSame(begun, [{ incarnation: 2, relearn: false }])
  t.equal(bootIds.length, 3)
  t.equal(new Set(bootIds).size, 2)
  hello.close()
})
