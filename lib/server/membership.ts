/**
 * The leader brings Raft's configuration to what the ledger says of each server, one safe step after the other.
 *
 * What operators decide is an entry; this carries it out, and a leader that comes after goes on where it finds
 * things. Newcomers become learners first, and voters once they have caught up (thesis 4.2.1); a server that is
 * removed gets time to give back what it does not use; a leader hands over before it goes.
 *
 * Invariant: no step is begun after which the voters that answer would be no majority. Safety is joint consensus's;
 * this keeps the pool from standing still.
 */
import {
  isVoter,
  membersOf,
  type ChangeOutcome,
  type Configuration,
  type ConfigurationChange,
  type NodeStatus,
  type Peer,
} from '../../raft/index.ts'
import type { Clock, Logger } from '../../raft/ports.ts'
import type { CommandBody } from '../ledger/command.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { refuse, type Refusal } from './ctl-request.ts'

/** A removed server that still runs is waited for so long; then it goes as one that crashed would. */
const drainMs = 10_000
/** Ticks after a removed server said that it gives back: enough for what it has. */
const drainTicks = 3
/** A newcomer may lack so many entries when it becomes a voter: about one message. */
export const lagMax = 256
/** Whoever has not answered for so many heartbeats may be dead: the leader itself takes longer to think so. */
const freshHeartbeats = 3
/** How long, in heartbeats, a decision waits for the answers of those who would remain. */
const patienceHeartbeats = 15
/** Judgements that are remembered; beyond it the oldest are forgotten. */
const judgedMax = 256
/** So often the office is offered to another before the leader goes without. */
const handOversMax = 3

type Decision = Extract<CommandBody, { type: 'add-server' | 'set-role' }>

export interface MembershipOptions {
  readonly server: string
  readonly clock: Clock
  readonly log: Logger
  readonly ledger: () => Ledger
  readonly isLeader: () => boolean
  readonly status: () => NodeStatus | undefined
  readonly peers: () => readonly Peer[]
  readonly heartbeatMs: number
  readonly change: (change: ConfigurationChange, done: (outcome: ChangeOutcome) => void) => void
  readonly transfer: (to: string, done: (problem: string | undefined) => void) => void
}

/** A removed server that is given time. */
interface Draining {
  readonly since: number
  /** Tick at which it was first seen to give back. */
  leavingAt?: number
}

export class Membership {
  readonly #options: MembershipOptions
  readonly #draining = new Map<string, Draining>()
  #underWay = false
  #handOvers = 0
  /** By the id of a command: who waits for the judgement under way, and what the last ones were refused for. */
  readonly #judging = new Map<string, ((refusal: Refusal | undefined) => void)[]>()
  readonly #refused = new Map<string, Refusal>()
  /** What was waited for last, so that it is told once. */
  #waiting = ''

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /** Takes the next step, if there is one and nothing is under way. Costs little when there is none. */
  look(): void {
    const { isLeader, status, clock } = this.#options
    const node = status()
    if (!isLeader() || node === undefined) {
      this.#draining.clear()
      this.#handOvers = 0
      return
    }
    if (this.#underWay || node.configuration.outgoing.length > 0) return
    const { servers } = this.#options.ledger().state
    for (const { name, role } of servers.values()) {
      if (role !== 'removed') this.#draining.delete(name)
      else if (!this.#draining.has(name)) this.#draining.set(name, { since: clock.now() })
    }
    for (const name of this.#draining.keys()) if (!servers.has(name)) this.#draining.delete(name)
    const change = this.#next(node.configuration)
    if (change !== undefined) this.#change(change)
  }

  /**
   * Calls back with why a decision would be unwise now, or `undefined`. Only the leader can tell. Where a vote goes it takes
   * a moment: those who remain have to answer once more, for one of them may just have been lost.
   */
  judge(id: string, body: Decision, done: (refusal: Refusal | undefined) => void): void {
    // A copy of a request is no second try: what its sender was told of the first would be wrong.
    const known = this.#refused.get(id)
    if (known !== undefined) return done(known)
    const joined = this.#judging.get(id)
    if (joined !== undefined) return void joined.push(done)
    this.#judging.set(id, [done])
    const { clock, heartbeatMs } = this.#options
    const since = clock.now()
    const end = since + patienceHeartbeats * heartbeatMs
    const look = (): void => {
      const refusal = this.#refusal(body, since)
      if (refusal?.code !== 'LICD_QUORUM_AT_RISK' || clock.now() >= end) this.#tell(id, refusal)
      else clock.after(heartbeatMs / 2, look)
    }
    look()
  }

  #tell(id: string, refusal: Refusal | undefined): void {
    const asking = this.#judging.get(id) ?? []
    this.#judging.delete(id)
    if (refusal !== undefined) this.#refused.set(id, refusal)
    for (const oldest of this.#refused.keys()) {
      if (this.#refused.size <= judgedMax) break
      this.#refused.delete(oldest)
    }
    for (const done of asking) done(refusal)
  }

  #refusal(body: Decision, since: number): Refusal | undefined {
    const node = this.#options.status()
    const record = this.#options.ledger().state.servers.get(body.server)
    if (node === undefined || record === undefined || body.type === 'add-server') return undefined
    if (record.role === body.role) return undefined
    if (body.role === 'voter') return this.#refuseBehind(body.server, node.configuration)
    if (!isVoter(node.configuration, body.server)) return undefined
    const left = this.#remaining(node.configuration, body.server)
    if (left.length === 0) return refuse('LICD_LAST_VOTER', 'No other server votes yet.')
    const silent = left.filter(name => !this.#isWell(name, since))
    if (left.length - silent.length > left.length / 2) return undefined
    return refuse(
      'LICD_QUORUM_AT_RISK',
      `${left.join(', ')} would be the voters, and of them ${silent.join(', ')} cannot be counted on now.`,
    )
  }

  #refuseBehind(server: string, configuration: Configuration): Refusal | undefined {
    if (isVoter(configuration, server)) return undefined
    const peer = this.#options.peers().find(({ id }) => id === server)
    if (peer?.reachable !== true) return refuse('LICD_NOT_CAUGHT_UP', `${server} does not answer.`)
    // A learner that does not know how it once voted is soon told that it is none: the decision waits for that.
    const isSoundSoon = isSound(peer) || peer.untrusted === 'unknown'
    if (peer.lag <= lagMax && isSoundSoon) return undefined
    const what = isSoundSoon ? `lacks ${peer.lag} entries` : 'learns its log anew'
    return refuse('LICD_NOT_CAUGHT_UP', `${server} ${what}.`)
  }

  #next(configuration: Configuration): ConfigurationChange | undefined {
    const { servers } = this.#options.ledger().state
    const members = membersOf(configuration)
    const newcomers = [...servers.values()]
      .filter(({ name, role }) => role !== 'removed' && !members.includes(name))
      .map(({ name }) => name)
      .sort()
    if (newcomers.length > 0) return { learners: newcomers }
    const ready = configuration.learners.find(
      name =>
        servers.get(name)?.role === 'voter' &&
        this.#refuseBehind(name, configuration) === undefined,
    )
    if (ready !== undefined) return { voters: [ready] }
    const leaving = this.#leaving(configuration)
    if (leaving !== undefined) return leaving
    const gone = configuration.learners.filter(name => this.#isGone(name))
    return gone.length === 0 ? undefined : { remove: gone }
  }

  /** One voter that shall not vote any more, the leader itself last. */
  #leaving(configuration: Configuration): ConfigurationChange | undefined {
    const { server } = this.#options
    const { servers } = this.#options.ledger().state
    const others = configuration.voters.filter(name => name !== server)
    for (const name of [...others, server]) {
      const role = servers.get(name)?.role ?? 'removed'
      if (!isVoter(configuration, name) || role === 'voter') continue
      if (role === 'removed' && !this.#isGone(name)) continue
      const left = configuration.voters.filter(other => other !== name)
      const well = left.filter(other => this.#isWell(other))
      if (well.length <= left.length / 2) {
        this.#tellWaiting(`${name} goes when more than half of ${left.join(', ')} answer`)
        continue
      }
      if (name === server && this.#handOver(well)) return undefined
      return role === 'learner' ? { learners: [name] } : { remove: [name] }
    }
    return undefined
  }

  /** True while another is asked to lead: it will do the rest. */
  #handOver(well: readonly string[]): boolean {
    const { ledger, transfer, log, peers } = this.#options
    const stays = (name: string) => ledger().state.servers.get(name)?.role === 'voter'
    const best = peers()
      .filter(({ id }) => well.includes(id) && stays(id))
      .sort((a, b) => b.matchIndex - a.matchIndex)[0]
    if (best === undefined || this.#handOvers >= handOversMax) return false
    this.#handOvers++
    this.#underWay = true
    log.info('membership-hand-over', { to: best.id })
    transfer(best.id, problem => {
      this.#underWay = false
      if (problem !== undefined) log.warn('membership-hand-over-failed', { to: best.id, problem })
    })
    return true
  }

  #change(change: ConfigurationChange): void {
    const { log } = this.#options
    this.#underWay = true
    log.info('membership-change', { ...change })
    this.#options.change(change, outcome => {
      this.#underWay = false
      const { outcome: what, reason } = { reason: undefined, ...outcome }
      log.info('membership-changed', { ...change, outcome: what, reason })
      // A refusal is tried again at the next tick.
      if (what === 'done') this.look()
    })
  }

  /** A removed server that has given back what it can, or is not there to do so. */
  #isGone(name: string): boolean {
    const ledger = this.#options.ledger()
    const record = ledger.state.servers.get(name)
    if (record === undefined) return true
    if (record.role !== 'removed') return false
    const draining = this.#draining.get(name)
    if (draining === undefined) return false
    const { tick } = ledger.state
    if (record.leaving) draining.leavingAt ??= tick
    if (draining.leavingAt !== undefined && tick - draining.leavingAt >= drainTicks) return true
    const peer = this.#options.peers().find(({ id }) => id === name)
    const isThere = name === this.#options.server || peer?.reachable === true
    return (
      !isThere ||
      ledger.serverState(name) === 'down' ||
      this.#options.clock.now() - draining.since >= drainMs
    )
  }

  #remaining(configuration: Configuration, without: string): string[] {
    const { servers } = this.#options.ledger().state
    return configuration.voters.filter(
      name => name !== without && servers.get(name)?.role === 'voter',
    )
  }

  /** It has lately answered what was sent after `since`. The core's time runs behind the clock by less than a heartbeat. */
  #isWell(name: string, since = -Infinity): boolean {
    const { server, peers, clock, heartbeatMs } = this.#options
    if (name === server) return true
    const peer = peers().find(({ id }) => id === name)
    if (peer === undefined || peer.untrusted !== undefined) return false
    // Right after an election everyone counts as heard: only an answer to this leader tells.
    if (peer.matchIndex === 0 || peer.answeredAgoMs > freshHeartbeats * heartbeatMs) return false
    return clock.now() - peer.answeredAgoMs > since + heartbeatMs
  }

  #tellWaiting(text: string): void {
    if (text !== this.#waiting) this.#options.log.warn('membership-waits', { for: text })
    this.#waiting = text
  }
}

/** Its word counts, or will as soon as it is made a voter. */
function isSound({ untrusted }: Peer): boolean {
  return untrusted === undefined || untrusted === 'cleared'
}
