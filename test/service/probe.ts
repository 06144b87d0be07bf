/**
 * Single messages to a seat service and what comes back: for tests of the protocol's corners.
 */
import assert from 'node:assert/strict'
import {
  decodeAnswer,
  encodeAcquire,
  encodeRelease,
  encodeRenew,
} from '../../lib/protocol/seat-codec.ts'
import type {
  AcquireItem,
  Answer,
  ReleaseItem,
  RenewItem,
  SeatResult,
} from '../../lib/protocol/seat.ts'
import type { SeatOperation } from '../../lib/protocol/subject.ts'
import type { MemoryBus } from '../sim/memory-bus.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { poolSubjects } from './names.ts'
import type { World } from './world.ts'

type Of<Kind extends SeatResult['kind']> = Extract<SeatResult, { kind: Kind }>

export class Probe {
  readonly world: World
  readonly bus: MemoryBus
  readonly answers: Answer[] = []
  readonly json: unknown[] = []
  gone = 0
  #batch = 0

  constructor(world: World, name = 'probe') {
    this.world = world
    this.bus = world.broker.connect(name, new VirtualClock(world.time))
    this.bus.subscribe(`${this.bus.inbox}.>`, message => {
      if (message.noResponders) this.gone++
      else if (message.subject.endsWith('.json')) {
        this.json.push(JSON.parse(new TextDecoder().decode(message.data)))
      } else {
        const answer = decodeAnswer(message.data)
        assert(answer !== undefined, 'An answer that the codec reads')
        this.answers.push(answer)
      }
    })
  }

  get results(): SeatResult[] {
    return this.answers.flatMap(answer => answer.results)
  }

  send(server: string, operation: SeatOperation, data: Uint8Array, reply = true): void {
    const options = reply ? { reply: `${this.bus.inbox}.${++this.#batch}` } : {}
    this.bus.publish(poolSubjects.seat(server, operation), data, options)
  }

  sendJson(server: string, operation: SeatOperation, item: object): void {
    this.bus.publish(
      poolSubjects.seat(server, operation),
      new TextEncoder().encode(JSON.stringify(item)),
      { reply: `${this.bus.inbox}.json`, headers: { 'Content-Type': 'application/json' } },
    )
  }

  /** What comes back within `ms`. */
  within(ms: number, send: () => void): SeatResult[] {
    const before = this.results.length
    send()
    this.world.time.run(ms)
    return this.results.slice(before)
  }

  acquire(
    server: string,
    item: Partial<AcquireItem> & { readonly requestId: string },
    ms = 30,
    clientId = 'probe',
  ): SeatResult[] {
    const whole = { feature: 'cad', count: 1, user: 'u', host: 'h', waitMs: 0, ...item }
    const data = encodeAcquire(++this.#batch, clientId, [whole])
    return this.within(ms, () => this.send(server, 'acquire', data))
  }

  renew(
    server: string,
    item: Partial<RenewItem> & Pick<RenewItem, 'seatId' | 'token'>,
    ms = 30,
  ): SeatResult[] {
    const whole = { feature: 'cad', user: 'u', host: 'h', failover: false, ...item }
    const data = encodeRenew(++this.#batch, 'probe', [whole])
    return this.within(ms, () => this.send(server, 'renew', data))
  }

  release(server: string, item: ReleaseItem, ms = 30, clientId = 'probe'): SeatResult[] {
    const data = encodeRelease(++this.#batch, clientId, [item])
    return this.within(ms, () => this.send(server, 'release', data))
  }

  /** Acquires one seat that is there to be had; its token. */
  seat(server: string, requestId: string): Uint8Array {
    const result = this.acquire(server, { requestId })[0]
    assert(result?.kind === 'granted', JSON.stringify(result))
    const token = result.seats[0]?.token
    assert(token !== undefined)
    return token
  }

  /** A fail-over renewal, confirmed; all results of both. */
  move(server: string, seatId: string, token: Uint8Array, ms = 600): SeatResult[] {
    const first = this.renew(server, { seatId, token, failover: true })
    const challenge = first.find((result): result is Of<'challenge'> => result.kind === 'challenge')
    if (challenge === undefined) return first
    const confirm = challenge.nonce
    return [...first, ...this.renew(server, { seatId, token, failover: true, confirm }, ms)]
  }
}

/** Kinds, with the code of refusals. */
export function kinds(results: readonly SeatResult[]): string[] {
  return results.map(result => (result.kind === 'refused' ? result.code : result.kind))
}
