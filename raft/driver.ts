/**
 * The loop of a node: inputs in, effects out (see `node.ts`).
 *
 * Inputs are queued and taken one by one, because carrying out an effect may cause the next input before the
 * step is over. Effects are carried out in the order in which the core lists them.
 *
 * Invariant: `step` is never entered twice, and never after the node has stopped.
 */
import { Batcher } from './batcher.ts'
import {
  Calls,
  type ChangeOutcome,
  type ProposeOutcome,
  type ReadOutcome,
  type TransferOutcome,
} from './calls.ts'
import { isMember, type ConfigurationChange } from './core/configuration.ts'
import type { Effects } from './core/effect.ts'
import type { Entry } from './core/entry.ts'
import { blankState, type Input, type PersistedState } from './core/input.ts'
import type { Log } from './core/log.ts'
import type { Disagreement } from './digest.ts'
import { Ending } from './ending.ts'
import { internal, RaftError } from './error.ts'
import { ProposalFate } from './fate.ts'
import { Gate } from './gate.ts'
import { Lateness, type LatenessFigures } from './lateness.ts'
import { Listeners } from './listeners.ts'
import { News } from './news.ts'
import { checkOptions, type NodeOptions, type NodeStatus, type RaftNode } from './node.ts'
import type { ProposeOptions } from './node.ts'
import { assemble, stopParts, takeDueSnapshot, type Parts } from './parts.ts'
import type { Subscription, Timer } from './ports.ts'
import { restoreLog, restoreSnapshot } from './restore.ts'
import { Shouter } from './shout.ts'
import { statusOf } from './standing.ts'
import { Watchdog } from './watchdog.ts'

const nothingLate = new Lateness(0).figures()

class Driver implements RaftNode {
  readonly id: string
  readonly #options: NodeOptions
  readonly #calls: Calls
  readonly #watchdog: Watchdog
  readonly #gate = new Gate(message => this.#parts?.link.send(message))
  readonly #listeners: Listeners
  readonly #ending: Ending
  readonly #shouter: Shouter
  readonly #fate = new ProposalFate()
  readonly #batcher: Batcher
  readonly #news: News
  #parts: Parts | undefined
  #inputs: Input[] = []
  #stepping = false
  /** `commitIndex` when the leader's own first entry was committed: it leads once that is applied. */
  #readyIndex: number | undefined
  #removed = false
  #stopped = false
  #fatal: RaftError | undefined
  #stopping = false
  #stopTimer: Timer | undefined

  constructor(options: NodeOptions) {
    checkOptions(options)
    this.id = options.id
    this.#options = options
    this.#calls = new Calls(options.log, options.settings)
    this.#listeners = new Listeners(run => this.#calls.call(run))
    this.#ending = new Ending(options.clock)
    this.#shouter = new Shouter(options.id, options.log)
    this.#watchdog = new Watchdog(options.settings.electionTimeoutMs)
    this.#batcher = new Batcher(options.clock, input => this.#step(input))
    this.#news = new News(options.clock, index => this.#step({ type: 'tell', index }))
    options.storage.read((error, state) => {
      if (error === undefined) this.#restore(state ?? blankState)
      else this.#fail(error)
    })
  }

  get status(): NodeStatus {
    return statusOf({
      id: this.id,
      storage: this.#options.storage,
      parts: this.#parts,
      stopped: this.#stopped,
      removed: this.#removed,
      readyIndex: this.#readyIndex,
    })
  }

  get lateness(): LatenessFigures {
    return this.#parts?.lateness.figures() ?? nothingLate
  }

  get peers(): RaftNode['peers'] {
    return this.#parts?.raft.peers ?? []
  }

  propose(
    data: Uint8Array,
    done: (outcome: ProposeOutcome) => void = () => {},
    { patient = false }: ProposeOptions = {},
  ): void {
    const reason = this.#stopped || this.#parts === undefined ? 'stopped' : 'busy'
    if (reason === 'stopped' || this.#batcher.isFull) {
      const leader = this.#parts?.raft.leader
      this.#later(() => done(this.#calls.refused(reason, leader)))
      return
    }
    const id = this.#calls.addProposal(done, this.#options.clock.now())
    this.#batcher.propose(patient ? { id, data, patient } : { id, data })
  }

  readIndex(done: (outcome: ReadOutcome) => void): void {
    if (this.#stopped || this.#parts === undefined) {
      this.#later(() => done({ ok: false, reason: 'stopped' }))
      return
    }
    this.#batcher.read(this.#calls.addRead(done, this.#options.clock.now()))
  }

  transferLeadership(to: string | undefined, done: (outcome: TransferOutcome) => void): void {
    if (this.#stopped || this.#parts === undefined) {
      this.#later(() => done({ ok: false, reason: 'stopped' }))
      return
    }
    this.#step({ type: 'transfer', id: this.#calls.addTransfer(done), to })
  }

  changeConfiguration(change: ConfigurationChange, done: (outcome: ChangeOutcome) => void): void {
    if (this.#stopped || this.#parts === undefined) {
      this.#later(() => done({ outcome: 'refused', reason: 'stopped' }))
      return
    }
    this.#step({ type: 'changeConfiguration', id: this.#calls.addChange(done), change })
  }

  onStatus(handle: (status: NodeStatus) => void): Subscription {
    return this.#listeners.onStatus(handle)
  }

  onUnreachable(handle: (peer: string) => void): Subscription {
    return this.#listeners.onUnreachable(handle)
  }

  onFatal(handle: (error: RaftError) => void): Subscription {
    const fatal = this.#fatal
    if (fatal !== undefined) this.#later(() => handle(fatal))
    return this.#listeners.onFatal(handle)
  }

  stop(done: (error?: RaftError) => void): void {
    this.#ending.wait(error => this.#calls.call(() => done(error)))
    if (!this.#stopping) this.#handOver()
  }

  /** Stops, but lets a leader find a successor first. */
  #handOver(): void {
    this.#stopping = true
    const { clock, settings, bus } = this.#options
    if (this.#stopped || this.#parts?.raft.role !== 'leader' || !bus.connected) {
      this.#end()
      return
    }
    this.#stopTimer = clock.after(settings.electionTimeoutMs, () => this.#end())
    this.transferLeadership(undefined, () => this.#end())
  }

  /** The state machine first takes the snapshot, and only then hears of anything. */
  #restore(state: PersistedState): void {
    const { snapshot } = state
    if (this.#stopped) return
    const { storage, machine, clock } = this.#options
    const isStopped = (): boolean => this.#stopped
    const takeLog = (error?: RaftError): void => {
      if (error !== undefined) this.#fail(error)
      else {
        restoreLog({ state, clock, isStopped }, (failed, log) => {
          if (log !== undefined) this.#start(state, log)
          else if (failed !== undefined) this.#fail(failed)
        })
      }
    }
    if (snapshot === undefined) takeLog()
    else restoreSnapshot({ machine, storage, clock, snapshot, isStopped }, takeLog)
  }

  #start(state: PersistedState, log: Log): void {
    try {
      this.#parts = assemble(this.#options, state, log, {
        onInput: input => this.#step(input),
        // If nobody can take over it goes on, and tries again.
        onLow: () => this.transferLeadership(undefined, () => {}),
        onPersisted: seq => this.#persisted(seq),
        onApplied: (index, entries) => this.#applied(index, entries),
        onGone: peer => this.#unreachable(peer),
        onBeat: (ms, stalledMs) => this.#beat(ms, stalledMs),
        onError: error => this.#fail(error),
        onWrong: at => this.#wrong(at),
        onDiffers: at => this.#differs(at),
      })
    } catch (cause) {
      this.#fail(internal(cause))
      return
    }
    const { term, lastIndex } = this.status
    this.#options.log.info('raft-start', { id: this.id, term, lastIndex })
    const { damage } = this.#options.storage
    if (damage !== undefined) {
      this.#options.log.error('raft-damaged', { code: 'RAFT_DAMAGED', found: damage })
    }
    this.#afterSteps()
  }

  /** Takes an input; while a step is under way, after it. */
  #step(input: Input): void {
    if (this.#stopped) return
    this.#inputs.push(input)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const parts = this.#parts
        if (parts === undefined || this.#stopped) return
        const effects = parts.raft.step(next)
        this.#options.trace?.(parts.raft, next, effects)
        this.#carryOut(parts, effects)
      }
      this.#afterSteps()
    } catch (cause) {
      this.#fail(internal(cause))
    } finally {
      this.#stepping = false
    }
    this.#applyFew()
  }

  /** What it throws ends this node, as what a step throws does: a callback of the link would only tell of it. */
  #applyFew(): void {
    try {
      this.#parts?.applier.turn()
    } catch (cause) {
      this.#fail(internal(cause))
    }
  }

  #carryOut({ raft, link, writer, applier, snapshots }: Parts, effects: Effects): void {
    const { persist, restore, apply } = effects
    if (persist !== undefined) {
      writer.persist(persist)
      if (persist.snapshot !== undefined) snapshots.published(persist.snapshot)
      if (restore !== undefined) applier.restore(restore, persist.seq)
    }
    for (const { message, after } of effects.send) {
      if (after === undefined) link.send(message)
      else this.#gate.hold(message, after)
    }
    for (const header of effects.sendChunks) snapshots.send(header)
    for (const chunk of effects.storeChunks) snapshots.store(chunk)
    if (apply.length > 0) applier.apply(apply)
    for (const result of [...effects.proposals, ...this.#fate.after(effects)]) {
      this.#calls.proposalResult(result, raft.leader)
    }
    for (const result of effects.reads) this.#calls.readResult(result, applier.applied)
    for (const result of effects.transfers) this.#calls.transferResult(result)
    for (const result of effects.changes) this.#calls.changeResult(result)
    const { configuration, removed } = effects
    // It may be added again: an operator does so with a server that lost its disk.
    if (configuration !== undefined && isMember(configuration, this.id)) this.#removed = false
    if (removed) {
      this.#removed = true
      this.#options.log.warn('raft-removed', { id: this.id })
    }
    this.#shouter.shout(effects, this.#options.storage.damage)
  }

  /** What follows from where the steps have led to. */
  #afterSteps(): void {
    const parts = this.#parts
    if (parts === undefined || this.#stopped) return
    const { raft } = parts
    if (!raft.ready) this.#readyIndex = undefined
    else this.#readyIndex ??= raft.commitIndex
    if (raft.owesNews) this.#news.owed(raft.commitIndex)
    takeDueSnapshot(parts, this.#options)
    this.#tellStatus()
  }

  #tellStatus(): void {
    const { status } = this
    if (!this.#listeners.status(status)) return
    const { role, term, leader, quorate } = status
    this.#options.log.info('raft-status', { role, term, leader, quorate })
  }

  /** I5: at least one of the two is wrong. */
  #differs(at: Disagreement): void {
    this.#options.log.error('raft-state-differs', { ...at })
    this.#tellStatus()
  }

  /** I5: this server's state is not the cluster's. What is on its disk must not be used again. */
  #wrong(at: Disagreement): void {
    const { log } = this.#options
    const { index, own, other } = at
    log.error('raft-state-wrong', { ...at })
    const reason = `At entry ${index} its state is ${own}, and that of a majority ${other}.`
    this.#fail(new RaftError('RAFT_DIVERGED', reason), reason)
  }

  #persisted(seq: number): void {
    const answered = this.#gate.release(seq)
    this.#parts?.applier.persisted(seq)
    const step = (): void => this.#step({ type: 'persisted', seq })
    // The bus writes at the end of this turn: whoever waits for an answer does not wait for the step too.
    if (answered) this.#options.clock.defer(step)
    else step()
  }

  #applied(index: number, entries: readonly Entry[]): void {
    this.#step({ type: 'applied', index })
    // After the step, so that a caller who asks in `done` for the status is told of what it caused.
    this.#calls.applied(index, entries)
  }

  #unreachable(peer: string): void {
    this.#step({ type: 'unreachable', peer })
    this.#listeners.unreachable(peer)
  }

  #beat(ms: number, stalledMs: number | undefined): void {
    const parts = this.#parts
    if (parts === undefined || this.#stopped) return
    const { clock, settings, log, proposalTimeoutMs } = this.#options
    if (stalledMs !== undefined) {
      log.warn('raft-stalled', { ms: stalledMs })
      this.#step({ type: 'stalled', ms: stalledMs })
    }
    this.#step({ type: 'elapse', ms })
    if (this.#watchdog.beat(parts.writer.since, ms)) {
      log.error('raft-disk-stalled', { ms: settings.electionTimeoutMs })
      this.#step({ type: 'stepDown' })
    }
    parts.snapshots.sweep([...parts.raft.snapshotsInUse, ...parts.applier.needed])
    this.#calls.expire(clock.now() - (proposalTimeoutMs ?? 5 * settings.electionTimeoutMs))
  }

  #later(run: () => void): void {
    this.#options.clock.defer(() => this.#calls.call(run))
  }

  /** With `condemned`, what the disk holds must not be believed at the next start. */
  #fail(error: RaftError, condemned?: string): void {
    if (this.#fatal !== undefined || this.#stopped) return
    this.#fatal = error
    const { cause } = error
    const stack = cause instanceof Error ? cause.stack : undefined
    this.#options.log.error('raft-fatal', { code: error.code, message: error.message, stack })
    this.#end(condemned)
    // The storage may be closed by whoever hears of it.
    if (condemned === undefined) this.#later(() => this.#listeners.fatal(error))
    else this.#ending.wait(() => this.#listeners.fatal(error))
  }

  /** Ends everything at once. */
  #end(condemned?: string): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#stopTimer?.cancel()
    this.#news.cancel()
    this.#inputs = []
    this.#gate.clear()
    this.#calls.end()
    const parts = this.#parts
    const { settings, storage, log } = this.#options
    this.#ending.begin(idle => {
      const last = (): void => {
        if (condemned === undefined) idle()
        else {
          storage.condemn(condemned, error => {
            if (error !== undefined) log.error('raft-not-condemned', { message: error.message })
            idle()
          })
        }
      }
      if (parts === undefined) last()
      else stopParts(parts, last)
    }, 2 * settings.electionTimeoutMs)
  }
}

/**
 * Starts a server on what its storage holds; an empty one waits to be added to a cluster by its leader.
 *
 * @throws RaftError RAFT_BAD_SETTING
 */
export function startNode(options: NodeOptions): RaftNode {
  return new Driver(options)
}
