/**
 * etcd: a checkout as a transaction that holds if nobody else changed the feature since it was read. Whoever loses
 * reads what is there now in the same transaction, and tries again. `put` is a bare replicated write.
 */
import { ownFirst, workerNumber, type Driver, type DriverOrder } from '../contender.ts'
import { Grpc } from './grpc.ts'
import { encode, Message } from './protobuf.ts'

const txnPath = '/etcdserverpb.KV/Txn'
export const putPath = '/etcdserverpb.KV/Put'
/** mvccpb and etcdserverpb, by the names of rpc.proto. */
const target = { mod: 2 }
const allocations = 1e9

interface Feature {
  readonly key: string
  revision: number
  inUse: number
}

export async function open(order: DriverOrder): Promise<Driver> {
  const grpc = await Grpc.connect(ownFirst(order.address.urls, order.process)[0] ?? '')
  const features = Array.from({ length: order.inFlight }, (_, worker): Feature => {
    const key = order.operation === 'one' ? 'one' : `f${workerNumber(order, worker)}`
    return { key, revision: 0, inUse: 0 }
  })
  const payload = 'a'.repeat(100)
  return {
    run(worker, done, isOver) {
      const feature = features[worker]
      if (feature === undefined) return
      const work =
        order.operation === 'put'
          ? grpc.call(
              putPath,
              encode([
                [1, feature.key],
                [2, payload],
              ]),
            )
          : checkout(grpc, feature, isOver)
      work.then(
        () => done(),
        (error: unknown) => done(String(error)),
      )
    },
    close: async () => grpc.close(),
  }
}

async function checkout(grpc: Grpc, feature: Feature, isOver: () => boolean): Promise<void> {
  while (!(await tryCheckout(grpc, feature))) if (isOver()) return
}

async function tryCheckout(grpc: Grpc, feature: Feature): Promise<boolean> {
  const { key, revision, inUse } = feature
  if (inUse >= allocations) throw new Error('none left')
  const compare = encode([
    [2, target.mod],
    [3, key],
    [6, revision],
  ])
  const put = encode([
    [1, key],
    [2, JSON.stringify({ allocations, inUse: inUse + 1 })],
  ])
  const range = encode([[1, key]])
  const message = encode([
    [1, compare],
    [2, encode([[2, put]])],
    [3, encode([[1, range]])],
  ])
  const answer = new Message(await grpc.call(txnPath, message))
  if (answer.number(2) === 1n) {
    feature.revision = Number(answer.message(1)?.number(3))
    feature.inUse++
    return true
  }
  const found = answer.message(3)?.message(1)?.message(2)
  feature.revision = Number(found?.number(3) ?? 0)
  const value = Buffer.from(found?.bytes(5) ?? '{}').toString()
  feature.inUse = (JSON.parse(value) as { inUse?: number }).inUse ?? 0
  return false
}

/** Whether the member at `url` leads. */
export async function leads(url: string): Promise<boolean> {
  const grpc = await Grpc.connect(url)
  try {
    const answer = await grpc.call('/etcdserverpb.Maintenance/Status', new Uint8Array())
    const status = new Message(answer)
    return status.number(4) !== 0n && status.message(1)?.number(2) === status.number(4)
  } finally {
    grpc.close()
  }
}
