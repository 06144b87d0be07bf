/**
 * What a server publishes of its own accord: sync events, server events, and hints that a server is gone.
 *
 * A sync event says that this server has applied a change of the distribution, and which (claims 6, 20). The first is
 * told at once, those that follow closely go into one event. Events may be lost like any message; `revision` shows
 * that one was.
 */
import { pack } from 'msgpackr'
import type { Bus, Clock, Logger, Timer } from '../../raft/ports.ts'
import type { Command, Taken } from '../ledger/command.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Notice } from '../ledger/outcome.ts'
import type { CodeEvent, ServerEvent, SyncChange, SyncEvent } from '../protocol/event.ts'
import type { Subjects } from '../protocol/subject.ts'
import { featureStatus } from './status.ts'
import type { AppliedCommand, Observer } from './parts.ts'

/** Features and changes told in one event; beyond it `more` is true. */
const eventMax = 50
/** Sync events are at least so far apart, unless one is full: three servers tell each change, and nobody may listen. */
const paceMs = 20
const goneEveryMs = 1_000

export interface EventsOptions {
  readonly server: string
  readonly subjects: Subjects
  readonly bus: Bus
  readonly clock: Clock
  readonly ledger: () => Ledger
  readonly isLeader: () => boolean
  readonly incarnation: () => number
  readonly inUse: (feature: string) => number
  readonly log: Logger
  readonly observer?: Observer | undefined
}

export class Events {
  readonly #options: EventsOptions
  #features = new Set<string>()
  #changes: SyncChange[] = []
  #more = false
  #index = 0
  #publishedAt = -Infinity
  #timer: Timer | undefined
  #isDue = false
  readonly #goneAt = new Map<string, number>()

  constructor(options: EventsOptions) {
    this.#options = options
  }

  /** A command was applied that changed the distribution. */
  changed(applied: AppliedCommand, by: string): void {
    for (const feature of applied.changed) {
      if (this.#features.size < eventMax) this.#features.add(feature)
      else if (!this.#features.has(feature)) this.#more = true
    }
    if (this.#changes.length < eventMax) this.#changes.push(changeOf(applied, by))
    else this.#more = true
    this.#index = applied.index
    this.#due(this.#features.size === eventMax || this.#changes.length === eventMax)
  }

  /** What became of codes: every server logs it, the leader tells it. */
  codes(notices: readonly Notice[]): void {
    const { bus, subjects, server, isLeader, log } = this.#options
    for (const { type, ...told } of notices.slice(0, eventMax)) {
      if (type === 'code-ends') log.warn(type, told)
      else log.info(type, told)
      const event: CodeEvent = { server, event: type, ...told }
      this.#options.observer?.told({ type: 'code', event })
      if (isLeader()) bus.publish(subjects.codeEvent(server), pack(event))
    }
  }

  /** A snapshot brought changes of which only the sum is known. */
  installed(index: number): void {
    this.#index = index
    this.#more = true
    this.#due()
  }

  server(event: ServerEvent['event']): void {
    const { bus, subjects, server, incarnation } = this.#options
    const message: ServerEvent = { server, incarnation: incarnation(), event }
    this.#options.observer?.told({ type: 'server', event: message })
    bus.publish(subjects.serverEvent(server), pack(message))
  }

  /**
   * The broker says that nobody listens where `peer` should. Only while the ledger has it up: for one that is
   * known to be silent or down there is nobody left to warn.
   */
  gone(peer: string): void {
    const { bus, clock, ledger, subjects } = this.#options
    if (ledger().serverState(peer) !== 'up') return
    const now = clock.now()
    const last = this.#goneAt.get(peer)
    if (last !== undefined && now - last < goneEveryMs) return
    this.#goneAt.set(peer, now)
    this.#options.observer?.told({ type: 'gone', event: { server: peer } })
    bus.publish(subjects.goneEvent(peer), pack({ server: peer }))
  }

  /** What is full is told with this turn, the rest in its time. */
  #due(isFull = false): void {
    const { clock } = this.#options
    const waitMs = isFull ? 0 : this.#publishedAt + paceMs - clock.now()
    if (this.#isDue || (waitMs > 0 && this.#timer !== undefined)) return
    if (waitMs > 0) this.#timer = clock.after(waitMs, () => this.#publish())
    else {
      this.#isDue = true
      clock.defer(() => this.#publish())
    }
  }

  #publish(): void {
    const { bus, subjects, server, isLeader, inUse } = this.#options
    const ledger = this.#options.ledger()
    const { revision, tick, features } = ledger.state
    const event: SyncEvent = {
      server,
      leader: isLeader(),
      revision,
      tick,
      index: this.#index,
      features: [...this.#features].sort().flatMap(name => {
        const feature = features.get(name)
        return feature === undefined ? [] : [featureStatus({ server, ledger, inUse }, feature)]
      }),
      more: this.#more,
      changes: this.#changes,
    }
    this.#isDue = false
    this.#timer?.cancel()
    this.#timer = undefined
    this.#publishedAt = this.#options.clock.now()
    this.#features = new Set()
    this.#changes = []
    this.#more = false
    this.#options.observer?.told({ type: 'sync', event })
    const data = pack(event)
    // With very many servers 50 features can be too many for the broker: then only what happened is told.
    if (data.length <= bus.maxPayload) bus.publish(subjects.syncEvent(server), data)
    else bus.publish(subjects.syncEvent(server), pack({ ...event, features: [], more: true }))
  }
}

function changeOf({ body, result, changed }: AppliedCommand, by: string): SyncChange {
  const taken: readonly Taken[] | undefined = 'taken' in result ? result.taken : undefined
  const feature = featureOf(body) ?? (changed.length === 1 ? changed[0] : undefined)
  const to = 'to' in body ? body.to : undefined
  return {
    type: body.type,
    ...(feature === undefined ? {} : { feature }),
    by,
    ...movedOf(body, taken),
    ...(to === undefined ? {} : { to }),
  }
}

function featureOf(body: Command['body']): string | undefined {
  if ('feature' in body) return body.feature
  return body.type === 'add-code' ? body.content.feature : undefined
}

/** A return and a lend name their source themselves; a borrow's result does. */
function movedOf(
  body: Command['body'],
  taken: readonly Taken[] | undefined,
): Pick<SyncChange, 'taken'> {
  if (taken !== undefined) return { taken }
  if (body.type !== 'return' && body.type !== 'lend') return {}
  return { taken: [{ source: body.type, server: body.server, count: body.count }] }
}
