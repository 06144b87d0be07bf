import t from 'tap'
import type { Command } from '../../lib/ledger/command.ts'
import { emptyState } from '../../lib/ledger/snapshot.ts'
import type { Outcome } from '../../lib/server/parts.ts'
import { pendingMax, Submitter } from '../../lib/server/submitter.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

const command = (id: string, deadline: number): Command => ({
  ...{ id, deadline, by: 'test' },
  body: { type: 'add-feature', feature: id, allocations: 1 },
})

function submitting() {
  const time = new VirtualTime()
  const clock = new VirtualClock(time, { rate: 1, origin: 0 })
  const state = emptyState()
  const sent: string[] = []
  const way = { open: true }
  const submitter = new Submitter({
    clock,
    state: () => state,
    send: ({ id }) => {
      if (way.open) sent.push(id)
      return way.open
    },
  })
  return { time, state, sent, way, submitter }
}

t.test('submitter - presses a command until it is applied here or cannot be any more', async t => {
  const { time, state, sent, way, submitter } = submitting()
  const outcomes: Outcome[] = []
  submitter.submit(command('a', 10), outcome => outcomes.push(outcome))
  time.run(1_400)
  t.strictSame(sent, ['a', 'a', 'a'], 'again every half second')
  submitter.leaderChanged()
  t.equal(sent.length, 4, 'and to a new leader at once')
  t.equal(submitter.withdraw('a'), false, 'its outcome is open')
  state.tick = 10
  submitter.ticked()
  t.strictSame(outcomes, [], 'the deadline is the last tick at which it may be applied')
  state.tick = 11
  submitter.ticked()
  t.strictSame(outcomes, [{ type: 'expired' }])
  submitter.applied('a', { ok: true, revision: 1 }, false)
  t.equal(outcomes.length, 1, 'exactly once')

  way.open = false
  submitter.submit(command('b', 20), outcome => outcomes.push(outcome))
  t.equal(submitter.withdraw('b'), true, 'it never left')
  submitter.submit(command('c', 5), outcome => outcomes.push(outcome))
  time.run(0)
  t.strictSame(outcomes[1], { type: 'expired' }, 'too late already')
  submitter.submit(command('d', 20), outcome => outcomes.push(outcome))
  state.results.set('d', { result: { ok: true, revision: 4 }, forgetAt: 99 })
  submitter.installed()
  t.match(outcomes[2], { type: 'applied', result: { revision: 4 } }, 'a snapshot tells of it')
  submitter.submit(command('e', 20), outcome => outcomes.push(outcome))
  submitter.refusedForNow('e', { ok: false, code: 'LICD_TOO_BUSY' })
  t.equal(outcomes.length, 3, 'a copy of it may yet be applied')
  state.tick = 21
  submitter.ticked()
  t.match(outcomes[3], { type: 'applied', result: { code: 'LICD_TOO_BUSY' } })
})

t.test(
  'submitter - one that stops tells what never left it from what may yet be applied',
  async t => {
    const { time, way, submitter } = submitting()
    const outcomes: string[] = []
    const submit = (id: string) =>
      submitter.submit(command(id, 30), ({ type }) => outcomes.push(`${id} ${type}`))
    submit('sent')
    submit('sent')
    way.open = false
    submit('kept')
    submitter.close()
    t.strictSame(outcomes, ['sent unknown', 'sent unknown', 'kept rejected'])
    submit('late')
    time.run(0)
    t.equal(outcomes[3], 'late rejected')
  },
)

t.test('submitter - what another caller waits for is not withdrawn', async t => {
  const { sent, way, submitter } = submitting()
  const outcomes: Outcome[] = []
  way.open = false
  submitter.submit(command('a', 10), outcome => outcomes.push(outcome))
  submitter.submit(command('a', 10), outcome => outcomes.push(outcome))
  t.equal(submitter.withdraw('a'), false)
  way.open = true
  submitter.leaderChanged()
  t.strictSame(sent, ['a'])
  submitter.applied('a', { ok: true, revision: 1 }, false)
  t.equal(outcomes.length, 2)
})

t.test(
  'submitter - a new leader drops what comes before it can take it on: it is soon sent again',
  async t => {
    const { time, sent, submitter } = submitting()
    submitter.submit(command('a', 10), () => {})
    time.run(100)
    submitter.leaderChanged()
    t.equal(sent.length, 2)
    time.run(60)
    t.equal(sent.length, 3, 'not half a second later')
    time.run(2_000)
    const after = sent.length
    time.run(1_000)
    t.equal(sent.length, after + 2, 'and at leisure once it is settled')
  },
)

t.test('submitter - bounded', async t => {
  const { time, submitter } = submitting()
  const outcomes: Outcome[] = []
  for (let n = 0; n < pendingMax; n++) submitter.submit(command(`c${n}`, 10), () => {})
  submitter.submit(command('one-more', 10), outcome => outcomes.push(outcome))
  time.run(0)
  t.strictSame(outcomes, [{ type: 'rejected' }])
  t.equal(submitter.size, pendingMax)
})
