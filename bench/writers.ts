/**
 * Writers that go on through the loss of a server, as a program would that must: what is not answered is sent again,
 * elsewhere where the client knows of others. Each resolves when one replicated write was acknowledged.
 */
import { connect as connectToNats } from 'nats'
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import { connectNats, systemClock, systemRandom } from '../raft/index.ts'
import type { Address, ContenderName } from './contender.ts'
import { putPath } from './drivers/etcd.ts'
import { Grpc } from './drivers/grpc.ts'
import { openBucket } from './drivers/kv.ts'
import { grownFeature } from './drivers/ledger.ts'
import { encode } from './drivers/protobuf.ts'

export interface Writer {
  /** Rejects never; tries until it works or the writer is closed. */
  write(): Promise<void>
  close(): Promise<void>
}

/** A server that does not answer within this is left for another one. */
const attemptMs = 500
const pauseMs = 20

export async function openWriter(
  name: ContenderName,
  address: Address,
  number: number,
): Promise<Writer> {
  if (name === 'etcd') return etcdWriter(address, number)
  if (name === 'kv') return await kvWriter(address, number)
  return await licdWriter(address)
}

/** Runs attempts until one works. */
function persistent(attempt: () => Promise<unknown>, end: () => Promise<void>): Writer {
  let isClosed = false
  return {
    async write() {
      while (!isClosed) {
        try {
          await attempt()
          return
        } catch {
          await new Promise(resolve => setTimeout(resolve, pauseMs))
        }
      }
    },
    close() {
      isClosed = true
      return end()
    },
  }
}

async function licdWriter({ urls }: Address): Promise<Writer> {
  const bus = await connectNats({ servers: urls, name: 'bench writer' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 30_000 })
  return persistent(
    () => ctl.change('allocations-add', { feature: grownFeature, count: 1 }),
    () => {
      ctl.close()
      return bus.close()
    },
  )
}

/** Each begins at a member of its own, and turns to the next when an answer fails or does not come. */
function etcdWriter({ urls }: Address, number: number): Writer {
  let at = number
  let grpc: Grpc | undefined
  const message = encode([
    [1, `w${number}`],
    [2, 'a'.repeat(100)],
  ])
  return persistent(
    async () => {
      try {
        grpc ??= await Grpc.connect(urls[at % urls.length] ?? '')
        await grpc.call(putPath, message, attemptMs)
      } catch (error) {
        grpc?.close()
        grpc = undefined
        at++
        throw error
      }
    },
    async () => grpc?.close(),
  )
}

async function kvWriter({ urls }: Address, number: number): Promise<Writer> {
  const servers = [...urls.slice(number % urls.length), ...urls.slice(0, number % urls.length)]
  const connection = await connectToNats({
    ...{ servers, noRandomize: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 },
    name: 'bench writer',
  })
  // The caller tries again; this connection would go on dialling for ever.
  const kv = await openBucket(connection, attemptMs).catch(async (error: unknown) => {
    await connection.close()
    throw error
  })
  return persistent(
    () => kv.put(`w${number}`, 'a'.repeat(100)),
    () => connection.close(),
  )
}
