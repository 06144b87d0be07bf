/**
 * What the client sends: all of one turn to one server and operation in one message.
 *
 * Each message has a number, the batch, and its reply subject names server, operation and batch, so that the
 * broker's notice that nobody listens says what failed. When a batch was sent is kept, since an answer's
 * `expiresInMs` counts from before its message was *sent* (R4); an answer to a batch forgotten is worth nothing.
 */
import type { Bus, Clock } from '../../raft/ports.ts'
import { encodeAcquire, encodeFind, encodeRelease, encodeRenew } from '../protocol/seat-codec.ts'
import { seatBounds, type AcquireItem, type ReleaseItem, type RenewItem } from '../protocol/seat.ts'
import { anyServer, type SeatOperation, type Subjects } from '../protocol/subject.ts'
import {
  acquireItem,
  renewItem,
  type AcquireRecord,
  type Asking,
  type ReleaseRecord,
  type SeatRecord,
} from './record.ts'
import type { SteadyClock } from './steady-clock.ts'

/** A message that was sent. */
export interface Sent {
  readonly server: string
  readonly operation: SeatOperation
  readonly at: number
  readonly epoch: number
}

/** What is to be sent to one server: each record once, see `Asking.queuedAt`. */
interface Queue {
  readonly releases: ReleaseRecord[]
  readonly renewals: SeatRecord[]
  readonly acquires: AcquireRecord[]
}

/** Fewer bytes than a server takes, so that its answer, token for token, fits as well. */
const messageBytesMax = 64 * 1024
/**
 * Requests in one message. More of one turn leave in several, so that the server works on one while this side works on
 * what came of another: a tenth more seats a second with 256 under way.
 */
const acquiresMax = 64
/** A batch is remembered at least this long; answers are not waited for longer by anyone. */
const rememberMs = 30_000
const batchesMax = 65_536

/** Releases that go along with acquires in one message; what is more goes ahead in messages of its own. */
const ridersMax = 256

/** How records of one kind become the items of messages. */
interface Kind<Record, Item> {
  readonly operation: SeatOperation
  /** Items of one message. */
  readonly most: number
  readonly item: (record: Record, now: number) => Item
  /** No fewer bytes than the item takes: a character of a label may take three. */
  readonly bytes: (item: Item) => number
  readonly encode: (
    batch: number,
    clientId: string,
    items: readonly Item[],
    released: readonly ReleaseItem[],
  ) => Uint8Array
}

/** What surrounds the fields of an item. */
const itemOverhead = 48

const releasing: Kind<ReleaseRecord, ReleaseItem> = {
  operation: 'release',
  most: seatBounds.items,
  item: record => record,
  bytes: releaseBytes,
  encode: encodeRelease,
}
const renewing: Kind<SeatRecord, RenewItem> = {
  operation: 'renew',
  most: seatBounds.items,
  item: renewItem,
  bytes: ({ seatId, feature, token, user, host, confirm }) => {
    const fixed = itemOverhead + seatId.length + feature.length + token.length
    return fixed + 3 * (user.length + host.length) + (confirm?.length ?? 0)
  },
  encode: encodeRenew,
}
const acquiring: Kind<AcquireRecord, AcquireItem> = {
  operation: 'acquire',
  most: acquiresMax,
  item: acquireItem,
  bytes: ({ requestId, feature, user, host }) =>
    itemOverhead + requestId.length + feature.length + 3 * (user.length + host.length),
  encode: encodeAcquire,
}

function releaseBytes({ seatId, token }: ReleaseItem): number {
  return itemOverhead + seatId.length + token.length
}

export class Outbox {
  readonly replyPrefix: string
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #time: SteadyClock
  readonly #subjects: Subjects
  readonly #clientId: string
  readonly #onAsked: (server: string, at: number) => void
  readonly #onFlush: () => void
  #queues = new Map<string, Queue>()
  /** In order of sending, up to `#lastBatch`. At the bound the oldest is forgotten: its answers, if any, are not believed. */
  #sent: Sent[] = []
  /** How many of the first of `#sent` are forgotten. */
  #forgotten = 0
  #lastBatch = 0
  #flushing = false
  #closed = false

  constructor(options: {
    readonly bus: Bus
    readonly clock: Clock
    readonly time: SteadyClock
    readonly subjects: Subjects
    readonly clientId: string
    readonly onAsked: (server: string, at: number) => void
    /** A turn's messages were sent: from now on answers are owed. */
    readonly onFlush: () => void
  }) {
    this.#bus = options.bus
    this.#clock = options.clock
    this.#time = options.time
    this.#subjects = options.subjects
    this.#clientId = options.clientId
    this.#onAsked = options.onAsked
    this.#onFlush = options.onFlush
    this.replyPrefix = `${options.bus.inbox}.licd.`
  }

  /** Asks one server, or any, whether it serves. */
  find(server: string = anyServer): void {
    this.#publish(server, 'find', batch => encodeFind(batch, this.#clientId))
  }

  acquire(record: AcquireRecord): void {
    if (record.target !== undefined) this.#put(this.#queue(record.target).acquires, record)
  }

  renew(seat: SeatRecord): void {
    if (seat.target !== undefined) this.#put(this.#queue(seat.target).renewals, seat)
  }

  release(record: ReleaseRecord): void {
    this.#put(this.#queue(record.target).releases, record)
  }

  #put<Record extends Asking>(queue: Record[], record: Record): void {
    if (record.queuedAt === record.target) return
    record.queuedAt = record.target
    queue.push(record)
  }

  get lastBatch(): number {
    return this.#lastBatch
  }

  sent(batch: number): Sent | undefined {
    const place = this.#sent.length - 1 - (this.#lastBatch - batch)
    return place < this.#forgotten ? undefined : this.#sent[place]
  }

  close(): void {
    this.#closed = true
    this.#queues.clear()
  }

  #queue(server: string): Queue {
    let queue = this.#queues.get(server)
    if (queue === undefined) {
      queue = { releases: [], renewals: [], acquires: [] }
      this.#queues.set(server, queue)
    }
    if (!this.#flushing) {
      this.#flushing = true
      this.#clock.defer(() => this.flush())
    }
    return queue
  }

  /** Sends what is queued. Called by itself at the end of the turn. */
  flush(): void {
    this.#flushing = false
    if (this.#closed) return
    const queues = this.#queues
    this.#queues = new Map()
    for (const [server, queue] of queues) {
      const wanted = taken(queue.acquires, server).filter(({ done }) => done !== undefined)
      const given = taken(queue.releases, server)
      // Releases go first, or along: what they free may serve the acquires.
      const riders = wanted.length > 0 ? given.splice(0, this.#ridersIn(given)) : []
      this.#send(server, releasing, given)
      const seats = taken(queue.renewals, server)
      this.#send(server, renewing, seats, { onSent: noteConfirm })
      this.#send(server, acquiring, wanted, { riders })
    }
    this.#onFlush()
  }

  /** How many of the first releases go along: half a message's bytes at most, so that acquires have room beside them. */
  #ridersIn(given: readonly ReleaseRecord[]): number {
    let count = 0
    for (let bytes = 0; count < Math.min(given.length, ridersMax); count++) {
      const record = given[count]
      bytes += record === undefined ? 0 : releaseBytes(record)
      if (bytes > this.#bytesMax / 2) break
    }
    return count
  }

  get #bytesMax(): number {
    return Math.min(messageBytesMax, this.#bus.maxPayload - 1024)
  }

  #send<Record extends Asking, Item extends AcquireItem | RenewItem | ReleaseItem>(
    server: string,
    kind: Kind<Record, Item>,
    records: readonly Record[],
    more: {
      readonly onSent?: (record: Record, item: Item, batch: number) => void
      /** Go along with the first message. */
      readonly riders?: readonly ReleaseRecord[]
    } = {},
  ): void {
    const { onSent, riders = [] } = more
    const bytesMax = this.#bytesMax
    const now = this.#time.now()
    for (let start = 0; start < records.length;) {
      const along = start === 0 ? riders : []
      let bytes = along.reduce((sum, item) => sum + releaseBytes(item), 0)
      const items: Item[] = []
      let seats = 0
      for (let n = start; n < records.length && items.length < kind.most; n++) {
        const record = records[n]
        if (record === undefined) break
        const item = kind.item(record, now)
        bytes += kind.bytes(item)
        seats += 'count' in item ? item.count : 1
        const isFull = bytes > bytesMax || seats > seatBounds.seatsPerMessage
        if (items.length > 0 && isFull) break
        items.push(item)
      }
      const batch = this.#publish(server, kind.operation, n =>
        kind.encode(n, this.#clientId, items, along),
      )
      for (const record of along) noteSent(record, now, batch)
      for (const item of items) {
        const record = records[start++]
        if (record === undefined) break
        noteSent(record, now, batch)
        if (batch !== undefined) onSent?.(record, item, batch)
      }
    }
  }

  #publish(
    server: string,
    operation: SeatOperation,
    encode: (batch: number) => Uint8Array,
  ): number | undefined {
    const batch = ++this.#lastBatch
    const at = this.#time.now()
    const reply = `${this.replyPrefix}${server}.${operation}.${batch}`
    this.#sent.push({ server, operation, at, epoch: this.#time.epochThen })
    this.#forget(at)
    const subject = this.#subjects.seat(server, operation)
    if (!this.#bus.publish(subject, encode(batch), { reply })) return undefined
    // A release accuses nobody: it is sent to servers that were left as well.
    if (operation === 'acquire' || operation === 'renew') this.#onAsked(server, at)
    return batch
  }

  #forget(now: number): void {
    const least = this.#sent.length - batchesMax
    while (this.#forgotten < this.#sent.length) {
      const oldest = this.#sent[this.#forgotten]
      if (this.#forgotten >= least && oldest !== undefined && now - oldest.at < rememberMs) break
      this.#forgotten++
    }
    // Cut off when it is half: each entry is copied once.
    if (this.#forgotten < 64 || this.#forgotten * 2 < this.#sent.length) return
    this.#sent = this.#sent.slice(this.#forgotten)
    this.#forgotten = 0
  }
}

/** Not sent (no batch), as while the link is down: unanswered, and asked again like anything lost. */
function noteSent(record: Asking, now: number, batch: number | undefined): void {
  record.askedAt = now
  record.tries++
  if (batch !== undefined) record.batch = batch
}

/** From here on the seat may be moved: until the outcome is known its own server hears nothing of it (R6). */
function noteConfirm(seat: SeatRecord, item: RenewItem, batch: number): void {
  const { journey, target } = seat
  if (item.confirm === undefined || journey === undefined || target === undefined) return
  const batches = journey.open.get(target)?.batches ?? new Set()
  batches.add(batch)
  journey.open.set(target, { lastTick: journey.lastTick, batches })
}

/** Those that are still to be sent to this server: what was queued may have gone elsewhere meanwhile, or come twice. */
function taken<Record extends Asking>(queue: readonly Record[], server: string): Record[] {
  return queue.filter(record => {
    if (record.queuedAt !== server || record.target !== server) return false
    record.queuedAt = undefined
    return true
  })
}
