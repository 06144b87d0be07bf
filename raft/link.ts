/**
 * A node's side of the bus: core messages out to the peers' subjects, and checked ones in.
 *
 * `${cluster}.${server}.${class}`: v votes, a entries, h heartbeats and reads, s snapshots, d digests. Each is sent with a reply
 * subject, not for an answer (answers are messages), but so that the broker says when nobody listens: that is
 * how a dead leader is noticed before any timeout.
 *
 * Invariant: nothing from the wire reaches the core unless it is well-formed, of this cluster, and for us.
 */
import { crc32 } from 'node:zlib'
import { decodeMessage, encodeMessage, type Malformed, type Wire } from './codec.ts'
import { decodeDigest, encodeDigest, type Digest } from './digest.ts'
import { numberLimit } from './core/entry.ts'
import type { Message, MessageType } from './core/message.ts'
import { isId } from './record.ts'
import type { Bus, BusMessage, Clock, Logger, Random, Subscription } from './ports.ts'

const classes = {
  preVote: 'v',
  preVoteReply: 'v',
  requestVote: 'v',
  requestVoteReply: 'v',
  timeoutNow: 'v',
  appendEntries: 'a',
  appendEntriesReply: 'a',
  heartbeat: 'h',
  heartbeatReply: 'h',
  readIndex: 'h',
  readIndexReply: 'h',
  teach: 'h',
  teachReply: 'h',
  distrust: 'h',
  installSnapshot: 's',
  installSnapshotReply: 's',
} as const satisfies Record<MessageType, string>

/** Messages that came in and were not passed on, by reason. */
export type DropCounts = Readonly<Record<Malformed | 'foreign' | 'unsent', number>>

export interface LinkOptions {
  readonly id: string
  /** Subject prefix. */
  readonly cluster: string
  /** What tells this cluster from another of the same name; part of the cluster's number on the wire. */
  readonly genesis: string
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** The same peer is reported gone at most once in this time, in ms. */
  readonly goneEveryMs: number
  readonly onMessage: (message: Message) => void
  readonly onDigest: (digest: Digest) => void
  readonly onGone: (peer: string) => void
}

/** At most so many peers are remembered; beyond, the oldest is forgotten. */
const maxPeers = 256

export class Link {
  readonly #options: LinkOptions
  readonly #wire: Wire
  readonly #subscriptions: Subscription[]
  readonly #dropped = { 'too-large': 0, checksum: 0, version: 0, shape: 0, foreign: 0, unsent: 0 }
  /** When a peer was last reported gone. */
  readonly #gone = new Map<string, number>()
  /** The run of each peer that was heard last. */
  readonly #incarnations = new Map<string, number>()

  constructor(options: LinkOptions) {
    this.#options = options
    const { bus, cluster, id, genesis, random } = options
    this.#wire = {
      cluster: crc32(`${cluster}\n${genesis}`),
      incarnation: Math.floor(random.next() * numberLimit),
    }
    this.#subscriptions = [
      bus.subscribe(`${cluster}.${id}.*`, message => this.#receive(message)),
      bus.subscribe(`${bus.inbox}.gone.*`, message => this.#notice(message)),
    ]
  }

  get dropped(): DropCounts {
    return this.#dropped
  }

  send(message: Message): void {
    const { bus, cluster } = this.#options
    const subject = `${cluster}.${message.to}.${classes[message.type]}`
    const reply = `${bus.inbox}.gone.${message.to}`
    // The link is down, or the broker takes less than our settings need. Raft sends it again either way.
    if (!bus.publish(subject, encodeMessage(message, this.#wire), { reply })) this.#dropped.unsent++
  }

  /** Lost ones are not repeated. */
  sendDigest(to: string, digest: Digest): void {
    const { bus, cluster } = this.#options
    const bytes = encodeDigest(digest, this.#wire.cluster)
    if (!bus.publish(`${cluster}.${to}.d`, bytes)) this.#dropped.unsent++
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
  }

  #receive({ subject, data, noResponders }: BusMessage): void {
    if (data.length === 0 || noResponders) return
    // Raft's classes are one letter each; longer words beside them are another protocol's.
    if (subject.lastIndexOf('.') !== subject.length - 2) return
    if (subject.endsWith('.d')) {
      const digest = decodeDigest(data, this.#wire.cluster)
      if (digest === undefined) this.#dropped.shape++
      else this.#options.onDigest(digest)
      return
    }
    const decoded = decodeMessage(data)
    if (typeof decoded === 'string') {
      this.#dropped[decoded]++
      return
    }
    const { message, wire } = decoded
    const { id, onMessage } = this.#options
    if (wire.cluster !== this.#wire.cluster || message.to !== id || message.from === id) {
      this.#dropped.foreign++
      return
    }
    this.#meet(message.from, wire.incarnation)
    onMessage(message)
  }

  /** Two processes that run as one server show as a peer whose run keeps changing. */
  #meet(peer: string, incarnation: number): void {
    const known = this.#incarnations.get(peer)
    if (known === incarnation) return
    this.#incarnations.delete(peer)
    this.#incarnations.set(peer, incarnation)
    bound(this.#incarnations)
    if (known !== undefined) this.#options.log.info('raft-peer-restarted', { peer })
  }

  #notice({ subject, noResponders }: BusMessage): void {
    const peer = subject.slice(subject.lastIndexOf('.') + 1)
    if (!noResponders || !isId(peer)) return
    const { clock, goneEveryMs, onGone } = this.#options
    const last = this.#gone.get(peer)
    if (last !== undefined && clock.now() - last < goneEveryMs) return
    this.#gone.delete(peer)
    this.#gone.set(peer, clock.now())
    bound(this.#gone)
    onGone(peer)
  }
}

function bound(map: Map<string, number>): void {
  for (const oldest of map.keys()) {
    if (map.size <= maxPeers) return
    map.delete(oldest)
  }
}
