import t from 'tap'
import { addServer, applied, makeWorld, settle } from './scripted-ctl.ts'

t.test(
  'a new change says so, and the next one goes to who leads; nobody depends on that',
  async t => {
    const world = makeWorld()
    const alpha = addServer(world, 'alpha', () => ({ ...applied, leader: 'beta' }))
    const client = world.client()
    const change = (id?: string) =>
      settle(world, client.change('feature-add', { feature: 'cad', allocations: 3 }, id))
    await change()
    const beta = addServer(world, 'beta', () => ({ ...applied, leader: 'beta' }))
    t.match(await change('mine'), { server: 'beta' })
    t.match(await change(), { server: 'beta' })
    t.strictSame(
      [...alpha.asked, ...beta.asked].map(({ request }) => request['fresh']),
      [true, undefined, true],
      'an id that was given may have been used before',
    )
    beta.bus.close()
    t.match(await change(), { server: 'alpha' }, 'another one, at once')
    const [first, again] = [alpha.asked.at(-1), alpha.asked.at(0)]
    t.not(first?.request.id, again?.request.id)
    t.ok(world.time.now < 1_000)
  },
)
