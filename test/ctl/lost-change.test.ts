/** Changes whose answer does not come: sent again, elsewhere, under one id. */
import t from 'tap'
import { subjects } from '../../lib/protocol/subject.ts'
import {
  addServer,
  applied,
  makeWorld,
  packr,
  refused,
  settle,
  type Script,
} from './scripted-ctl.ts'

t.test('a silent server - another one is asked with the same id', async t => {
  const world = makeWorld()
  const ids = new Set<unknown>()
  let isFirst = true
  const script: Script = (_operation, { id }) => {
    ids.add(id)
    if (!isFirst) return applied
    isFirst = false
    return undefined
  }
  addServer(world, 'alpha', script)
  addServer(world, 'beta', script)
  const changed = await settle(
    world,
    world.client().change('allocations-add', { feature: 'cad', count: 1 }),
  )
  t.equal(changed.revision, 7)
  t.equal(ids.size, 1)
})

t.test('the leader is gone with the change - told by its broker a moment later', async t => {
  const world = makeWorld()
  const alpha = addServer(world, 'alpha', (_operation, { id }) => {
    if (id === 'first') return { ...applied, leader: 'alpha' }
    // Its process dies, and the brokers need a moment to tell each other.
    world.clock.after(50, () => alpha.bus.close())
    return undefined
  })
  const client = world.client()
  await settle(world, client.change('allocations-add', { feature: 'cad', count: 1 }, 'first'))
  const beta = addServer(world, 'beta', () => applied)
  const from = world.time.now
  const change = client.change('allocations-add', { feature: 'cad', count: 1 }, 'second')
  t.match(await settle(world, change), { server: 'beta' })
  t.equal(beta.asked.length, 1)
  const afterMs = world.time.now - from
  t.ok(afterMs >= 200 && afterMs < 250, `after ${afterMs} ms`)
})

t.test(
  'a leader that says nothing any more - others are asked, and its late word counts',
  async t => {
    const world = makeWorld()
    const replies: (() => void)[] = []
    const { bus } = addServer(world, 'alpha', (_operation, { id }) =>
      id === 'first' ? { ...applied, leader: 'alpha' } : undefined,
    )
    bus.subscribe(subjects('default').ctlAt('*', 'alpha'), ({ reply = '' }) =>
      replies.push(() => bus.publish(reply, packr.pack({ server: 'alpha', ...applied }))),
    )
    const client = world.client()
    await settle(world, client.change('allocations-add', { feature: 'cad', count: 1 }, 'first'))
    addServer(world, 'beta', () => undefined)
    const change = client.change('allocations-add', { feature: 'cad', count: 1 }, 'second')
    const from = world.time.now
    world.clock.after(1_500, () => replies[0]?.())
    t.match(await settle(world, change), { server: 'alpha' }, 'of the first attempt, in the second')
    t.equal(replies.length, 2, 'it was told twice')
    t.ok(world.time.now - from < 1_600)
  },
)

t.test('no answer to a change - its outcome is asked for by its id', async t => {
  const outcome = async (answer: object | undefined) => {
    const world = makeWorld()
    addServer(world, 'alpha', (operation, request) => {
      if (operation !== 'outcome') return undefined
      t.equal(request.id, 'id-9')
      return answer
    })
    const client = world.client({ timeoutMs: 4_000 })
    return settle(world, client.change('allocations-add', { feature: 'cad', count: 1 }, 'id-9'))
  }
  t.match(await outcome({ ok: true, outcome: 'applied', result: { ok: true, revision: 12 } }), {
    revision: 12,
    duplicate: true,
  })
  await t.rejects(
    outcome({
      ok: true,
      outcome: 'refused',
      result: { ok: false, code: 'LICD_UNKNOWN_FEATURE' },
    }),
    { code: 'LICD_UNKNOWN_FEATURE' },
  )
  const unknown = { code: 'LICD_UNKNOWN_OUTCOME', message: /id-9/ }
  await t.rejects(outcome({ ok: true, outcome: 'unknown' }), unknown)
  await t.rejects(outcome(undefined), unknown)
  await t.rejects(outcome(refused('LICD_NO_LEADER')), unknown)
})
