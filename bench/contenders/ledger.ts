/** licd's replicated side: the same three processes, with a feature that grows and very many small ones. */
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { viewPool } from '../../lib/ctl/pool-view.ts'
import { connectNats, systemClock, systemRandom } from '../../raft/index.ts'
import { ProcessPool } from '../../test/pool-processes.ts'
import type { Contender, Row, Running } from '../contender.ts'
import { allocationsEach, grownFeature, smallFeatures } from '../drivers/ledger.ts'
import { licd } from './licd.ts'

const row = (operation: string, title: string): Row => ({
  id: `ledger.${operation}`,
  title,
  contender: 'ledger',
  driver: 'ledger',
  operation,
})

const atOnce = 64

/** As many as borrows of one allocation a second may use up, by what is in flight, on a machine of two cores. */
const perSecond: Readonly<Record<number, number>> = { 1: 500, 16: 3_500, 256: 8_000 }

/** `seconds`: how long one borrows, with so many `inFlight`. */
export function ledgerFor(
  borrows: readonly { readonly inFlight: number; readonly seconds: number }[],
): Contender {
  const features = Object.fromEntries(
    borrows.map(({ inFlight, seconds }) => {
      const each = ((perSecond[inFlight] ?? 8_000) * seconds) / allocationsEach
      return [inFlight, inFlight + Math.ceil(each)]
    }),
  )
  return {
    name: 'ledger',
    title: 'licd, replicated commands',
    rows: [row('add', 'licd: add an allocation'), row('borrow', 'licd: acquire that borrows')],
    look: () => licd.look(),
    start: () => startLedger(features),
  }
}

async function startLedger(features: Readonly<Record<string, number>>): Promise<Running> {
  const pool = await ProcessPool.start({ tickMs: 1_000, leaseTicks: 30, seatTicks: 20 })
  try {
    const leader = await prepare(pool.nats.url, pool.servers, features)
    // Clients live where two of three do: not at the leader.
    const servers = [...pool.servers.filter(server => server !== leader), leader]
    return {
      address: { urls: [pool.nats.url], servers, features },
      processes: () => [
        ...pool.servers.map(name => ({ name: `server ${name}`, pid: pool.pid(name) })),
        { name: 'nats-server', pid: pool.nats.pid },
      ],
      stop: () => pool[Symbol.asyncDispose](),
    }
  } catch (error) {
    await pool[Symbol.asyncDispose]()
    throw error
  }
}

/** Makes the features; says who leads. */
async function prepare(
  nats: string,
  servers: readonly string[],
  features: Readonly<Record<string, number>>,
): Promise<string> {
  const bus = await connectNats({ servers: [nats], name: 'bench operator' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 60_000 })
  const targets = Object.fromEntries(servers.map(server => [server, 0]))
  const thresholds = Object.fromEntries(servers.map(server => [server, 1]))
  const make = async (feature: string): Promise<void> => {
    await ctl.change('feature-add', { feature, allocations: 1 })
    // Nobody owns any, nobody borrows ahead of need.
    await ctl.change('criteria-set', { feature, targets, thresholds })
    await ctl.change('allocations-add', { feature, count: allocationsEach - 1 })
  }
  try {
    await ctl.change('feature-add', { feature: grownFeature, allocations: 1 })
    const names = Object.entries(features).flatMap(([inFlight, count]) =>
      smallFeatures(Number(inFlight), count),
    )
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (let name = names.pop(); name !== undefined; name = names.pop()) await make(name)
      }),
    )
    const { status } = await viewPool(ctl)
    return status.leader ?? servers.at(-1) ?? ''
  } finally {
    ctl.close()
    await bus.close()
  }
}
