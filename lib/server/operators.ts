/**
 * What operators have of a server, put together: questions and changes, who belongs to the pool, snapshots.
 */
import type { Bus, Clock, Logger, Random } from '../../raft/ports.ts'
import type { NodeStatus } from '../../raft/index.ts'
import type { CommandBody } from '../ledger/command.ts'
import type { Judge } from '../ledger/outcome.ts'
import type { Subjects } from '../protocol/subject.ts'
import type { Standing } from './admission.ts'
import { AccountHolder, type AccountStore } from './account-holder.ts'
import { Backups } from './backup.ts'
import { Belonging } from './belonging.ts'
import { Ctl } from './ctl.ts'
import { deadlineOf } from './deadline.ts'
import type { KeyHolder } from './key-holder.ts'
import { membersAnswer } from './members.ts'
import { Membership } from './membership.ts'
import type { AppliedCommand, Outcome, SeatService } from './parts.ts'
import type { Replica } from './replica.ts'
import { seatsAnswer } from './seat-page.ts'
import type { Viewer } from './status.ts'
import { statusAnswer } from './status-page.ts'
import { whyAnswer } from './why.ts'

export interface OperatorsOptions {
  readonly identity: {
    readonly server: string
    readonly pool: string
    readonly fingerprint: string
    readonly clusterId: string
    readonly epoch?: number
    readonly issuer?: string
  }
  /** Raft's, in milliseconds. */
  readonly heartbeatMs: number
  readonly subjects: Subjects
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly replica: Replica
  readonly service: () => SeatService
  readonly incarnation: () => number
  /** See `CtlOptions`. */
  readonly isCurrent: () => boolean
  /** This server as it sees the pool. */
  readonly viewer: () => Viewer
  readonly isRunning: () => boolean
  readonly judge: Judge
  readonly keys: KeyHolder
  readonly accountStore: AccountStore | undefined
  readonly submit: (body: CommandBody, done: (outcome: Outcome) => void) => void
  /** Taken back after it gave everything away: a new run. */
  readonly beginAnew: () => void
  readonly onStanding?: (standing: Standing) => void
  readonly removed: () => void
}

export class Operators {
  readonly #options: OperatorsOptions
  readonly #membership: Membership
  readonly #belonging: Belonging
  readonly #backups: Backups
  readonly #accounts: AccountHolder
  readonly #ctl: Ctl

  constructor(options: OperatorsOptions) {
    this.#options = options
    this.#membership = this.#makeMembership()
    this.#belonging = this.#makeBelonging()
    this.#backups = this.#makeBackups()
    this.#accounts = this.#makeAccounts()
    this.#ctl = this.#makeCtl()
  }

  start(): void {
    this.#belonging.start()
    this.#accounts.start()
  }

  /** Answers nobody any more. */
  stop(): void {
    this.#ctl.stop()
  }

  close(): void {
    this.#ctl.stop()
    this.#accounts.close()
    this.#belonging.close()
    this.#backups.end()
  }

  statusChanged(status: NodeStatus): void {
    this.#belonging.statusChanged(status)
    this.#membership.look()
  }

  /** An entry was applied: what it means for who belongs to the pool. */
  applied({ body, result, duplicate }: AppliedCommand, by: string): void {
    const { log } = this.#options
    if (body.type === 'add-server' || body.type === 'set-role') {
      const { type, server, role } = body
      const outcome = result.ok ? (duplicate ? 'again' : 'ok') : result.code
      log.info(type, { of: server, role, by, outcome })
    } else if (body.type === 'recover') log.warn('recover', { ...body, by })
    else if (body.type !== 'tick') return
    this.#belonging.look()
    this.#membership.look()
  }

  /** The ledger was replaced by a snapshot. */
  installed(): void {
    this.#backups.end()
    this.#belonging.look()
  }

  #makeCtl(): Ctl {
    const { identity, replica, subjects, bus, clock, random, log, viewer, service } = this.#options
    const { server } = identity
    const ledger = () => replica.ledger
    return new Ctl({
      server,
      subjects,
      bus,
      clock,
      log,
      ledger,
      leader: () => replica.leader,
      status: fields => statusAnswer(viewer(), fields),
      why: fields => whyAnswer(viewer(), service().report, fields),
      seats: fields => seatsAnswer(service(), fields),
      barrier: done => replica.barrier(done),
      isCurrent: this.#options.isCurrent,
      submit: ({ deadlineTicks, ...command }, body, done) => {
        const deadline = deadlineOf(ledger().state, deadlineTicks)
        replica.submitter.submit({ ...command, deadline, body }, done)
      },
      withdraw: id => replica.submitter.withdraw(id),
      freshId: () => random.id(),
      transfer: (to, done) => replica.transferLeadership(to, done),
      judge: this.#options.judge,
      membership: this.#membership,
      members: () =>
        membersAnswer({
          server,
          ledger: ledger(),
          leader: replica.leader,
          node: replica.status,
          peers: replica.peers,
        }),
      backups: this.#backups,
      keys: this.#options.keys,
      accounts: this.#accounts,
      doors: {
        issuer: identity.issuer,
        clusterId: identity.clusterId,
        state: () => ledger().state,
      },
    })
  }

  #makeAccounts(): AccountHolder {
    const { identity, subjects, bus, clock, log, replica, incarnation, submit } = this.#options
    return new AccountHolder({
      server: identity.server,
      store: this.#options.accountStore,
      state: () => replica.ledger.state,
      ...{ subjects, bus, clock, log, incarnation, submit },
    })
  }

  #makeMembership(): Membership {
    const { identity, clock, log, replica, isRunning, heartbeatMs } = this.#options
    return new Membership({
      server: identity.server,
      clock,
      log,
      ledger: () => replica.ledger,
      isLeader: () => replica.isLeader && isRunning(),
      status: () => replica.status,
      peers: () => replica.peers,
      heartbeatMs,
      change: (change, done) => replica.changeConfiguration(change, done),
      transfer: (to, done) => replica.transferLeadership(to, done),
    })
  }

  #makeBelonging(): Belonging {
    const { identity, subjects, bus, clock, log, replica, incarnation } = this.#options
    const { service, beginAnew, removed, isRunning, onStanding } = this.#options
    return new Belonging({
      server: identity.server,
      bus,
      clock,
      log,
      subject: subjects.ctl('servers'),
      state: () => replica.ledger.state,
      status: () => replica.status,
      probe: done => replica.probe(done),
      incarnation,
      drain: done => service().stop(() => done()),
      beginAnew,
      changed: standing => {
        if (!isRunning()) return
        // What it knows of the pool is nothing, or old: others are to answer operators.
        this.#ctl.stop()
        if (standing === 'member') this.#ctl.start()
        else log.warn('waiting-to-be-added', { standing })
        onStanding?.(standing)
      },
      removed,
    })
  }

  #makeBackups(): Backups {
    const { identity, clock, random, replica } = this.#options
    const { pool, fingerprint, clusterId, epoch = 0 } = identity
    return new Backups({
      clock,
      random,
      open: () => ({
        header: {
          ...{ pool, fingerprint, clusterId, epoch },
          index: replica.index,
          term: replica.status?.term ?? 0,
          tick: replica.ledger.state.tick,
          hash: replica.hash(),
          savedAt: clock.wall(),
        },
        slices: replica.backup(),
      }),
    })
  }
}
