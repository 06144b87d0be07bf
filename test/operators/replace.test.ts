// All servers of a pool replaced one after another while clients take, renew and give back seats.
import t from 'tap'
import { connect, LicdError, type Client } from '../../lib/index.ts'
import type { PoolStatus } from '../../lib/protocol/ctl.ts'
import { ProcessPool, ready } from '../pool-processes.ts'
import { featureOf } from '../watched-pool.ts'
import { Operator } from './operator.ts'

t.setTimeout(300_000)

/** Seats are longer than any pause of a busy machine. */
const settings = { tickMs: 100, leaseTicks: 60, seatTicks: 60 }
const allocations = 30
const heldBy = 3

/** A client that holds seats for good and takes another again and again. */
class Load {
  readonly failures: string[] = []
  rounds = 0
  #over = false
  #running: Promise<void>[] = []

  async start(client: Client): Promise<void> {
    for (let n = 0; n < heldBy; n++) {
      const seat = await client.acquire('cad', { timeout: 20_000 })
      seat.on('lost', error => this.failures.push(`lost: ${error.code}`))
    }
    this.#running.push(this.#run(client))
  }

  async #run(client: Client): Promise<void> {
    while (!this.#over) {
      try {
        const seat = await client.acquire('cad', { timeout: 20_000 })
        if (!seat.valid) this.failures.push('not valid')
        await seat.release()
        this.rounds++
      } catch (error) {
        this.failures.push(error instanceof LicdError ? error.code : String(error))
      }
      // The pace of a client, nothing that is waited for.
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  async end(): Promise<void> {
    this.#over = true
    await Promise.all(this.#running)
  }
}

t.test('three servers are replaced one after another under load: nothing fails', async t => {
  await using pool = await ProcessPool.start(settings)
  const operator = new Operator(pool)
  await operator.ctl('feature', 'add', 'cad', String(allocations), '--local')
  const conserved = async () => {
    const status = await operator.ctl<PoolStatus>('status')
    const { free, shares } = featureOf(status, 'cad')
    t.equal(free + shares.reduce((sum, { share }) => sum + share, 0), allocations, 'I1')
  }
  const clients: Client[] = []
  const load = new Load()
  for (let n = 0; n < 4; n++) {
    const client = await connect({ nats: pool.nats.url })
    clients.push(client)
    await load.start(client)
  }

  const replacements = { alpha: 'delta', beta: 'epsilon', gamma: 'zeta' }
  for (const [old, fresh] of Object.entries(replacements)) {
    await pool.join(fresh, old)
    const serving = pool.startUntil(fresh, ready)
    t.match(await operator.ctl('servers', 'add', fresh), { outcome: 'done' })
    await serving
    t.match(await operator.ctl('servers', 'remove', old), { outcome: 'done' })
    t.match(await pool.ended(old), { code: 0 }, `${old} ends by itself`)
    await conserved()
  }
  await operator.until(({ servers }) => servers.length === 3)
  t.equal(await operator.shown(), 'delta voter voter, epsilon voter voter, zeta voter voter')
  await conserved()
  const { seats } = await operator.ctl<{ seats: { clientId: string }[] }>('seats')
  t.ok(seats.length >= clients.length * heldBy, 'all that is held is held somewhere')
  await load.end()
  t.strictSame(load.failures, [], `${String(load.rounds)} seats taken and given back`)
  t.ok(load.rounds > 20)
  t.comment(`${String(load.rounds)} seats taken and given back meanwhile`)
  for (const client of clients) await client.close()
})
