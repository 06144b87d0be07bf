/**
 * licd through its public client, one client a process, at a server chosen by the number of the process.
 *
 * Renewals are the exception: the client renews when it is due and nobody can ask it to, so `renew` speaks the
 * client's protocol itself, with all renewals of a turn in one message, as the client has it.
 */
import { connect, type Seat } from '../../lib/index.ts'
import { decodeAnswer, encodeAcquire, encodeRenew } from '../../lib/protocol/seat-codec.ts'
import type { RenewItem, SeatResult } from '../../lib/protocol/seat.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { connectNats, systemRandom } from '../../raft/index.ts'
import { ownFirst, workerNumber, type Driver, type DriverOrder } from '../contender.ts'

type Done = (failure?: string) => void

const pool = 'default'
const user = 'bench'
const host = 'bench'
/** A seat lasts twenty seconds. */
const keepMs = 4_000

export async function open(order: DriverOrder): Promise<Driver> {
  const { address, process, operation } = order
  const servers = ownFirst(address.servers ?? [], process)
  const featureOf = (worker: number) =>
    operation === 'one' ? 'one' : `f${workerNumber(order, worker)}`
  const features = Array.from({ length: order.inFlight }, (_, worker) => featureOf(worker))
  if (operation === 'renew') return await openRenewals(order, servers[0] ?? '', features)

  const client = await connect({ nats: address.urls, prefer: servers, name: 'bench', pool })
  const held: Seat[] = []
  const use = (seat: Seat, done: Done): void => {
    if (operation === 'acquire') held.push(seat)
    else if (operation === 'awaited') {
      void seat.release().then(() => done())
      return
    } else void seat.release()
    done()
  }
  const fail = (error: unknown) =>
    error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return {
    run(worker, done) {
      client.acquire(features[worker] ?? '', { user, host }).then(
        seat => use(seat, done),
        (error: unknown) => done(fail(error)),
      )
    },
    async settle() {
      await Promise.all(held.splice(0).map(seat => seat.release()))
    },
    close: () => client.close(),
  }
}

async function openRenewals(
  order: DriverOrder,
  server: string,
  features: readonly string[],
): Promise<Driver> {
  const bus = await connectNats({ servers: order.address.urls, name: 'bench' })
  const names = subjects(pool)
  const clientId = systemRandom.id()
  const reply = `${bus.inbox}.bench`
  const tokens = new Map<string, Uint8Array>()
  const waiting = new Map<string, Done>()
  const ids = features.map(() => systemRandom.id())
  let batch = 0
  let turn: RenewItem[] = []

  const take = (result: SeatResult): void => {
    if (result.kind === 'granted') {
      for (const { seatId, token } of result.seats) tokens.set(seatId, token)
      answered(result.requestId)
    } else if (result.kind === 'renewed') {
      tokens.set(result.seatId, result.token)
      answered(result.seatId)
    } else if (result.kind === 'refused') answered(result.id, result.code)
  }
  const answered = (id: string, failure?: string): void => {
    const done = waiting.get(id)
    waiting.delete(id)
    done?.(failure)
  }
  bus.subscribe(reply, ({ data }) => {
    for (const result of decodeAnswer(data)?.results ?? []) take(result)
  })
  const send = (): void => {
    const data = encodeRenew(++batch, clientId, turn)
    turn = []
    bus.publish(names.seat(server, 'renew'), data, { reply })
  }
  const acquired = ids.map(
    id =>
      new Promise<void>((resolve, reject) => {
        waiting.set(id, failure => (failure === undefined ? resolve() : reject(new Error(failure))))
      }),
  )
  const wanted = ids.map((requestId, n) => {
    return { requestId, feature: features[n] ?? '', count: 1, user, host, waitMs: 0 }
  })
  bus.publish(names.seat(server, 'acquire'), encodeAcquire(++batch, clientId, wanted), { reply })
  await Promise.all(acquired)
  const run = (worker: number, done: Done): void => {
    const seatId = ids[worker] ?? ''
    const token = tokens.get(seatId) ?? new Uint8Array()
    waiting.set(seatId, done)
    if (turn.length === 0) setImmediate(send)
    turn.push({ seatId, feature: features[worker] ?? '', token, user, host, failover: false })
  }
  // While others are measured the seats are to live on.
  const keep = setInterval(() => {
    for (const [worker, id] of ids.entries()) if (!waiting.has(id)) run(worker, () => undefined)
  }, keepMs)
  return {
    run,
    close() {
      clearInterval(keep)
      return bus.close()
    },
  }
}
