/**
 * JetStream KV: a checkout as an update that holds if the revision is the one last read. Whoever loses reads again.
 */
import { connect, type JetStreamManager, type KV, type NatsConnection } from 'nats'
import { ownFirst, workerNumber, type Driver, type DriverOrder } from '../contender.ts'

export const bucket = 'seats'
const requestMs = 10_000
const wrongRevision = 10071
const allocations = 1e9

interface Feature {
  readonly key: string
  revision: number
  inUse: number
}

export async function open(order: DriverOrder): Promise<Driver> {
  const servers = ownFirst(order.address.urls, order.process)
  const connection = await connect({ servers, noRandomize: true, name: 'bench kv' })
  const kv = await openBucket(connection)
  const features = Array.from({ length: order.inFlight }, (_, worker): Feature => {
    const key = order.operation === 'one' ? 'one' : `f${workerNumber(order, worker)}`
    return { key, revision: 0, inUse: 0 }
  })
  await Promise.all(features.map(feature => read(kv, feature)))
  return {
    run(worker, done, isOver) {
      const feature = features[worker]
      if (feature === undefined) return
      checkout(kv, feature, isOver).then(
        () => done(),
        (error: unknown) => done(String(error)),
      )
    },
    close: () => connection.close(),
  }
}

/** The bucket with three replicas; made when it is not there. */
export async function openBucket(connection: NatsConnection, timeout = requestMs): Promise<KV> {
  return await connection
    .jetstream({ timeout })
    .views.kv(bucket, { replicas: 3, history: 1, timeout })
}

/** Name of the server that leads the bucket's stream. */
export async function leaderOf(manager: JetStreamManager): Promise<string> {
  const { cluster } = await manager.streams.info(`KV_${bucket}`)
  if (cluster?.leader === undefined || cluster.leader === '') throw new Error('no leader')
  return cluster.leader
}

async function checkout(kv: KV, feature: Feature, isOver: () => boolean): Promise<void> {
  for (;;) {
    if (feature.inUse >= allocations) throw new Error('none left')
    const value = new TextEncoder().encode(
      JSON.stringify({ allocations, inUse: feature.inUse + 1 }),
    )
    try {
      feature.revision = await kv.put(feature.key, value, { previousSeq: feature.revision })
      feature.inUse++
      return
    } catch (error) {
      if (!isWrongRevision(error)) throw error
    }
    if (isOver()) return
    await read(kv, feature)
  }
}

async function read(kv: KV, feature: Feature): Promise<void> {
  const entry = await kv.get(feature.key)
  feature.revision = entry?.revision ?? 0
  feature.inUse = entry === null ? 0 : (entry.json<{ inUse: number }>().inUse ?? 0)
}

function isWrongRevision(error: unknown): boolean {
  if (!(error instanceof Error) || !('api_error' in error)) return false
  const { api_error: api } = error
  return (
    typeof api === 'object' && api !== null && 'err_code' in api && api.err_code === wrongRevision
  )
}
