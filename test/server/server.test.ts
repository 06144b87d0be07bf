import t from 'tap'
import { simulatePool, type PoolOptions } from '../sim/pool.ts'
import { idleService, type IdleService } from './idle-service.ts'

const three = ['alpha', 'beta', 'gamma']

function makePool(options: Partial<PoolOptions> = {}) {
  const services = new Map<string, IdleService>()
  const pool = simulatePool({
    seed: 1,
    servers: three,
    ...options,
    createService(host) {
      const service = idleService(host)
      services.set(host.server, service)
      return service
    },
  })
  const service = (name: string): IdleService => {
    const found = services.get(name)
    if (found === undefined) throw new Error(name)
    return found
  }
  return { pool, service }
}

t.test('three servers elect, say hello, tick, and hold leases', async t => {
  const { pool, service } = makePool()
  pool.startAll()
  t.ok(pool.settle(10_000), 'all serve within ten seconds')
  for (const name of three) t.strictSame(service(name).calls, ['start 1'])
  const { tick } = pool.server('alpha').ledger.state
  pool.run(20_000)
  const after = pool.server('alpha').ledger.state.tick
  t.ok(after - tick >= 18 && after - tick <= 20, `a tick a second, never sooner: ${after - tick}`)
  for (const server of pool.running) {
    const left = server.leaseUntil - server.clock.now()
    t.ok(left > 27_000 && left < 29_500, `${server.server} holds a lease: ${left}`)
    t.equal(server.ledger.serverState(server.server), 'up')
  }
})
