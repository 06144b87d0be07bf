/** Snapshots installed at the worst moments (R11). */
import assert from 'node:assert/strict'
import { inUse, pool, shares } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import type { Scenario } from './scenario.ts'

export const snapshots: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  snapshots.push({ name, run })
}

scenario('a move that a relearning server started from is not counted a second time', t => {
  const world = pool(3, { a: 0, b: 2, c: 1 })
  const probe = new Probe(world)
  const token = probe.seat('b', 's')
  probe.seat('b', 'h')
  probe.seat('c', 'full')
  const server = world.server('b')
  server.crash()
  server.restart()
  // Its hello is in the log, and it hears nothing of that until a snapshot tells it.
  const said = world.time.runUntil(
    () => world.truth.state.servers.get('b')?.incarnation === 2,
    1_000,
  )
  assert(said)
  server.isolated = true
  // Until then c would send the seat back to b.
  world.time.run(3_200)
  t.strictSame(kinds(probe.move('c', 's', token)), ['challenge', 'pending', 'renewed'])
  t.match(shares(world), { b: 1, c: 2 })
  server.install()
  t.equal(inUse(world, 'b'), 1, 'h is alive')
  server.install()
  t.equal(inUse(world, 'b'), 1, 'and still is')
  server.isolated = false
  server.deliver()
  world.time.run(1_500)
  t.strictSame(kinds(probe.acquire('b', { requestId: 'n' }, 2_000)), ['LICD_NO_SEAT'])
})
