/**
 * Requests for seats, from the call to the answer.
 *
 * A request stays with one server and is repeated there: while it is unanswered, and every `repeatMs` while it
 * waits in the server's queue. When the server is left, the request goes to the next one under a fresh id and
 * the old one is withdrawn, so that a grant of the old server, however late, is given back and never mistaken.
 *
 * Invariant: at most one grant of a request is accepted, and only from the server that is asked now.
 */
import type { Random } from '../../raft/ports.ts'
import { FreshMap } from '../fresh-map.ts'
import { seatBounds, type SeatResult } from '../protocol/seat.ts'
import type { Outbox, Sent } from './outbox.ts'
import {
  AcquireRecord,
  HoldRecord,
  endIn,
  later,
  retryMs,
  type AcquireOutcome,
  type AcquireRequest,
  type Refusal,
} from './record.ts'
import type { Releasing } from './releasing.ts'
import type { Servers } from './servers.ts'
import type { SteadyClock } from './steady-clock.ts'

/** Without a server for so long, that is what a request that failed is told. */
const absentMs = 5_000
/** What another server may grant though this one does not. */
const elsewhere = new Set(['LICD_OVER_LIMIT', 'LICD_TOO_BUSY'])
/** Said of a server that may grant nothing at all now. */
const idle = new Set(['LICD_NOT_SERVING', 'LICD_NO_LEASE'])

type Granted = Extract<SeatResult, { kind: 'granted' }>

export class Acquiring {
  readonly #time: SteadyClock
  readonly #random: Random
  readonly #outbox: Outbox
  readonly #servers: Servers
  readonly #releasing: Releasing
  readonly #pending = new FreshMap<string, AcquireRecord>()

  constructor(parts: {
    readonly time: SteadyClock
    readonly random: Random
    readonly outbox: Outbox
    readonly servers: Servers
    readonly releasing: Releasing
  }) {
    this.#time = parts.time
    this.#random = parts.random
    this.#outbox = parts.outbox
    this.#servers = parts.servers
    this.#releasing = parts.releasing
  }

  get size(): number {
    return this.#pending.size
  }

  add(request: AcquireRequest, done: (outcome: AcquireOutcome) => void): AcquireRecord {
    const now = this.#time.now()
    const record = new AcquireRecord(this.#random.id(), request, now, done)
    this.#pending.set(record.requestId, record)
    if (this.#servers.home !== undefined) this.#ask(record, this.#servers.home)
    else this.#servers.seek(now)
    return record
  }

  /** Gives up; the server is told. Does nothing for a request that was answered. */
  cancel(record: AcquireRecord, refusal: Refusal): void {
    if (record.target !== undefined && record.done !== undefined) {
      this.#releasing.request(record.target, record.requestId)
    }
    this.#finish(record, { ok: false, ...refusal })
  }

  cancelAll(refusal: Refusal): void {
    for (const record of [...this.#pending.values()]) this.cancel(record, refusal)
  }

  /** A grant. False when nobody awaits it there: it is to be given back. */
  granted(result: Granted, server: string, sent: Sent | undefined, now: number): boolean {
    const record = this.#pending.get(result.requestId)
    if (record?.target !== server) return false
    const expiresAt = (sent?.at ?? -Infinity) + result.expiresInMs
    if (sent?.epoch !== this.#time.epochThen || expiresAt <= now) {
      // Nobody can tell how long it is good for: asked again, the server says so anew.
      record.nextAt = now
      record.askedAt = undefined
      return true
    }
    if (result.seats.length !== record.count) {
      this.#finish(record, {
        ok: false,
        code: 'LICD_INTERNAL',
        detail: `Server ${server} granted ${result.seats.length} seats instead of ${record.count}.`,
      })
      return false
    }
    const { epoch } = sent
    const given = { server, expiresAt, epoch, batch: record.batch, end: endIn(result) }
    const hold = new HoldRecord(record, result.seats, given)
    this.#finish(record, { ok: true, hold, at: now })
    return true
  }

  waiting(requestId: string, server: string): void {
    const record = this.#pending.get(requestId)
    if (record?.target !== server) return
    record.askedAt = undefined
    record.tries = 0
    record.nextAt = this.#time.now() + seatBounds.repeatMs
  }

  /** True when the id is a request's. */
  refused(id: string, server: string, refusal: Refusal): boolean {
    const record = this.#pending.get(id)
    if (record === undefined) return false
    if (record.target === server) this.#refuse(record, server, refusal)
    return true
  }

  /** The message as a whole was refused. */
  refusedBatch(batch: number, server: string, refusal: Refusal): void {
    for (const record of [...this.#pending.values()]) {
      if (record.batch === batch && record.target === server)
        this.#finish(record, { ok: false, ...refusal })
    }
  }

  #refuse(record: AcquireRecord, server: string, refusal: Refusal): void {
    if (!elsewhere.has(refusal.code)) {
      this.#finish(record, { ok: false, ...refusal })
      return
    }
    record.refusal = refusal
    const tried = (record.tried ??= new Set())
    tried.add(server)
    const now = this.#time.now()
    const other = this.#servers.usable(now).find(name => !tried.has(name))
    if (other !== undefined) {
      this.#renew(record)
      this.#ask(record, other)
      return
    }
    // All known ones refused: once more from the start, and meanwhile others may be found.
    tried.clear()
    record.askedAt = undefined
    record.nextAt = now + Math.max(retryMs, refusal.retryAfterMs ?? 0)
    this.#servers.seek(now)
  }

  /** The server is left: what was asked of it is withdrawn there and asked of the next home. */
  leave(server: string, refusal: Refusal | undefined): void {
    for (const record of [...this.#pending.values()]) {
      if (record.target !== server) continue
      record.refusal = refusal ?? record.refusal
      this.#releasing.request(server, record.requestId)
      this.#renew(record)
    }
    this.atHome()
  }

  /** Asks the home for what has no server. */
  atHome(): void {
    const home = this.#servers.home
    if (home === undefined) return
    for (const record of [...this.#pending.values()]) {
      if (record.target === undefined) this.#ask(record, home)
    }
  }

  /** Everything is to be asked again within `withinMs`: the link is back, or the server may be gone. */
  hurry(withinMs: number, server?: string): void {
    const at = this.#time.now() + this.#random.next() * withinMs
    for (const record of this.#pending.values()) {
      if (server !== undefined && record.target !== server) continue
      record.askedAt = undefined
      record.nextAt = Math.min(record.nextAt, at)
    }
  }

  pulse(now: number, connected: boolean): void {
    this.#pending.refresh()
    for (const record of [...this.#pending.values()]) {
      if (now >= record.deadline) this.cancel(record, this.#tooLate(record))
      else if (connected && record.target !== undefined) {
        const { target, askedAt, batch } = record
        const lost =
          askedAt !== undefined &&
          askedAt + retryMs <= now &&
          this.#servers.isOverdue(target, batch, now)
        const due = record.askedAt === undefined && record.nextAt <= now
        if (lost || due) this.#ask(record, record.target)
      }
    }
  }

  nextAt(connected: boolean, now: number): number {
    let at = Infinity
    for (const { deadline, target, askedAt, nextAt } of this.#pending.values()) {
      at = Math.min(at, deadline)
      if (target === undefined || !connected) continue
      at = Math.min(at, askedAt === undefined ? nextAt : later(askedAt + retryMs, now))
    }
    return at
  }

  #tooLate(record: AcquireRecord): Refusal {
    const { refusal } = record
    if (refusal !== undefined && !record.waits) return refusal
    // The server that it asked may not grant, and no other was found since: that is more than "in time".
    const isIdle = refusal !== undefined && idle.has(refusal.code)
    if (isIdle && this.#servers.home === undefined) return refusal
    // A moment without a server is no reason; to have had none for the whole of the request is.
    const ms = Math.min(record.patienceMs, absentMs)
    return this.#servers.absence(this.#time.now(), ms) ?? { code: 'LICD_TIMEOUT', detail: '' }
  }

  #ask(record: AcquireRecord, server: string): void {
    record.target = server
    record.askedAt = undefined
    record.nextAt = Infinity
    this.#outbox.acquire(record)
  }

  #renew(record: AcquireRecord): void {
    this.#pending.delete(record.requestId)
    record.requestId = this.#random.id()
    this.#pending.set(record.requestId, record)
    record.target = undefined
    record.askedAt = undefined
    record.tries = 0
    record.nextAt = Infinity
  }

  #finish(record: AcquireRecord, outcome: AcquireOutcome): void {
    const { done } = record
    record.done = undefined
    this.#pending.delete(record.requestId)
    done?.(outcome)
  }
}
