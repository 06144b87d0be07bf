/**
 * What of licd is replicated: an operator adds an allocation; a client acquires a seat that its server has to borrow.
 *
 * For the latter there are features so small that a server borrows one allocation at a time, none of which it has
 * beforehand; each worker uses one up and takes the next.
 */
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { connect } from '../../lib/index.ts'
import { connectNats, systemClock, systemRandom } from '../../raft/index.ts'
import { ownFirst, type Driver, type DriverOrder } from '../contender.ts'

export const grownFeature = 'grown'

/** So few that a server of three never asks for two at once. */
export const allocationsEach = 11

/** Features of those who have `inFlight` under way. */
export function smallFeatures(inFlight: number, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `b${inFlight}-${n}`)
}

export async function open(order: DriverOrder): Promise<Driver> {
  return await (order.operation === 'add' ? openOperator(order) : openBorrower(order))
}

async function openOperator({ address }: DriverOrder): Promise<Driver> {
  const bus = await connectNats({ servers: address.urls, name: 'bench operator' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 30_000 })
  return {
    run(_worker, done) {
      ctl.change('allocations-add', { feature: grownFeature, count: 1 }).then(
        () => done(),
        (error: unknown) => done(codeOf(error)),
      )
    },
    close() {
      ctl.close()
      return bus.close()
    },
  }
}

async function openBorrower({ address, inFlight, process }: DriverOrder): Promise<Driver> {
  const prefer = ownFirst(address.servers ?? [], process)
  const client = await connect({ nats: address.urls, prefer, name: 'bench', pool: 'default' })
  const features = smallFeatures(inFlight, address.features?.[inFlight] ?? 0)
  const workers = Array.from({ length: inFlight }, () => ({ feature: features.pop(), taken: 0 }))
  return {
    run(worker, done) {
      const own = workers[worker]
      if (own === undefined) return
      if (own.taken === allocationsEach) {
        own.feature = features.pop()
        own.taken = 0
      }
      if (own.feature === undefined) {
        setImmediate(done, 'all features are used up')
        return
      }
      own.taken++
      client.acquire(own.feature, { user: 'bench', host: 'bench', timeout: 10_000 }).then(
        () => done(),
        (error: unknown) => done(codeOf(error)),
      )
    },
    close: () => client.close(),
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
