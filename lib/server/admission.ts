/**
 * A server that is not (or no longer) of the pool: how it finds out, and what it waits for.
 *
 * A new one has an empty log and hears nothing until an operator adds it. One that was removed while it did not run
 * has a log that may still call it a voter, and nobody tells it otherwise, for it is spoken to no more: so a server
 * that hears no leader asks the others who belongs to the pool.
 */
import { Packr } from 'msgpackr'
import { isMember, type NodeStatus } from '../../raft/index.ts'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { Bus, Clock, Subscription, Timer } from '../../raft/ports.ts'
import { isFields } from './ctl-request.ts'

const lookMs = 2_000
const packr = new Packr({ useRecords: false, int64AsType: 'number' })
/** Until the disk is read. */
const firstMs = 50

export type Standing = 'member' | 'new' | 'removed'

export interface AdmissionOptions {
  readonly server: string
  readonly bus: Bus
  readonly clock: Clock
  /** Where any server says who belongs to the pool. */
  readonly subject: string
  readonly status: () => NodeStatus | undefined
  /** Calls back with false while the node is still reading its disk, and with true from then on. */
  readonly probe: (done: (isLoaded: boolean) => void) => void
  /** Told first when the disk was read: `new` for one without a log, else `member` until it is heard otherwise. */
  readonly changed: (standing: Standing) => void
}

export class Admission {
  readonly #options: AdmissionOptions
  readonly #inbox: string
  #subscription: Subscription | undefined
  #timer: Timer | undefined
  #standing: Standing | undefined
  #isLoaded = false
  #closed = false

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#inbox = `${options.bus.inbox}.admission`
  }

  start(): void {
    const { bus } = this.#options
    this.#subscription = bus.subscribe(this.#inbox, ({ data, noResponders }) => {
      if (!noResponders) this.#heard(data)
    })
    this.#look()
  }

  close(): void {
    this.#closed = true
    this.#subscription?.unsubscribe()
    this.#timer?.cancel()
  }

  /** The node's status changed. */
  look(): void {
    const { server, status } = this.#options
    const node = status()
    if (node === undefined || !this.#isLoaded) return
    if (node.lastIndex === 0 && node.snapshotIndex === 0) this.#become('new')
    else if (this.#standing === undefined) this.#become('member')
    else if (isMember(node.configuration, server) && node.leader !== undefined) {
      this.#become('member')
    }
  }

  #look(): void {
    const { bus, clock, subject, probe } = this.#options
    this.#timer = clock.after(this.#isLoaded ? lookMs : firstMs, () => this.#look())
    probe(isLoaded => {
      if (!isLoaded || this.#closed) return
      this.#isLoaded = true
      this.look()
      // Whoever hears a leader is told by the log.
      if (this.#hearsLeader() || this.#standing === 'new') return
      bus.publish(subject, new Uint8Array(), { reply: this.#inbox })
    })
  }

  /** Only the word of a server that has a leader counts, and never the own one. */
  #heard(data: Uint8Array): void {
    const { server } = this.#options
    if (this.#hearsLeader()) return
    const answer = unpackPlain(packr, data)
    if (!isFields(answer) || answer.ok !== true || answer.server === server) return
    if (typeof answer.leader !== 'string' || !Array.isArray(answer.servers)) return
    const rows: readonly unknown[] = answer.servers
    const own = rows.find(row => isFields(row) && row.name === server)
    if (own === undefined || (isFields(own) && own.role === 'removed')) this.#become('removed')
  }

  /** One that was removed knows a leader still, which speaks to it no more: it never campaigns. */
  #hearsLeader(): boolean {
    const { leader, quorate } = this.#options.status() ?? {}
    return leader !== undefined && quorate === true
  }

  #become(standing: Standing): void {
    if (standing === this.#standing) return
    this.#standing = standing
    this.#options.changed(standing)
  }
}
