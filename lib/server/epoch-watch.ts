/**
 * A pool that was restored or recovered, and servers of what it was before: they must not serve side by side.
 *
 * Each has its own log and its own majority, and both would grant the same allocations. So every server tells, now
 * and then, of which beginning it is (epoch), and one that hears of a later beginning of the same pool stops. Where
 * they cannot hear each other, nothing can tell: that is why an operator has to say that the old pool is gone.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { Bus, Clock, Subscription, Timer } from '../../raft/ports.ts'
import type { PoolIdentity } from '../pool-key.ts'

const everyMs = 5_000
const version = 1
const bytesMax = 1_024
const packr = new Packr({ useRecords: false, int64AsType: 'number' })

export interface EpochWatchOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly subject: string
  readonly identity: Omit<PoolIdentity, 'pool'>
  /** The pool began anew without this server. */
  readonly stop: () => void
}

export class EpochWatch {
  readonly #options: EpochWatchOptions
  #subscription: Subscription | undefined
  #timer: Timer | undefined

  constructor(options: EpochWatchOptions) {
    this.#options = options
  }

  start(): void {
    const { bus, subject } = this.#options
    this.#subscription = bus.subscribe(subject, ({ data }) => this.#heard(data))
    this.#tell()
  }

  close(): void {
    this.#subscription?.unsubscribe()
    this.#timer?.cancel()
  }

  #tell(): void {
    const { clock } = this.#options
    this.#say()
    this.#timer = clock.after(everyMs, () => this.#tell())
  }

  #say(): void {
    const { bus, subject, identity } = this.#options
    const { fingerprint, clusterId, epoch } = identity
    bus.publish(subject, new Uint8Array(packr.pack([version, fingerprint, clusterId, epoch])))
  }

  #heard(data: Uint8Array): void {
    const { identity, stop } = this.#options
    const theirs = decode(data)
    // Another pool of the same name has another key pair: it is no business of ours.
    if (theirs?.fingerprint !== identity.fingerprint) return
    if (theirs.clusterId === identity.clusterId) return
    if (theirs.epoch > identity.epoch) stop()
    else if (theirs.epoch < identity.epoch) this.#say()
  }
}

function decode(data: Uint8Array): Omit<PoolIdentity, 'pool'> | undefined {
  if (data.length > bytesMax) return undefined
  const row = unpackPlain(packr, data)
  const fields: readonly unknown[] = Array.isArray(row) ? row : []
  const [given, fingerprint, clusterId, epoch] = fields
  if (given !== version || typeof fingerprint !== 'string') return undefined
  if (typeof clusterId !== 'string' || typeof epoch !== 'number') return undefined
  return { fingerprint, clusterId, epoch }
}
