/**
 * What one run of a simulated node owes, beyond what its core promises to others: its beats stay on their grid, its loop
 * turns between any two slices of a snapshot, and it calls itself quorate only while it was heard.
 *
 * Each is asked in the process's own terms: what befell it (see `SimProcess.disturbedAt`) is no fault of its own.
 */
import assert from 'node:assert/strict'
import type { Effects } from '../../raft/core/effect.ts'
import type { Input } from '../../raft/core/input.ts'
import { majority } from '../../raft/core/quorum.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { RaftSettings } from '../../raft/core/settings.ts'
import type { SimProcess } from './node-process.ts'
import type { VirtualTime } from './virtual-clock.ts'

export interface NodeRulesOptions {
  readonly process: SimProcess
  readonly time: VirtualTime
  readonly settings: RaftSettings
}

/** When something was, in true ms, less what the process slept unnoticed until then. */
interface Asked {
  readonly round: number
  readonly at: number
}

/** Of the steps of a clock. */
const exactMs = 0.05

export class NodeRules {
  readonly #options: NodeRulesOptions
  /** Where on the grid an undisturbed beat came first. */
  #phase: number | undefined
  #lastSlice = -1
  #term = 0
  /** Those who voted for it were heard then. */
  #electedAt = 0
  /** When the rounds of this leader began, by number. */
  #rounds: Asked[] = []
  /** When the newest round began that each server answered. */
  readonly #answered = new Map<string, number>()

  constructor(options: NodeRulesOptions) {
    this.#options = options
  }

  /** A slice was cut, or taken in: heartbeats must get their turn before the next one. */
  sliced(): void {
    const { turns } = this.#options.process
    assert(turns !== this.#lastSlice, 'two slices of a snapshot in one turn of the loop')
    this.#lastSlice = turns
  }

  stepped(raft: Raft, input: Input, effects: Effects): void {
    if (input.type === 'elapse') this.#beat()
    if (raft.role !== 'leader') return
    if (this.#term !== raft.currentTerm) {
      this.#term = raft.currentTerm
      this.#rounds = []
      this.#answered.clear()
      this.#electedAt = this.#now
    }
    this.#noteRounds(effects)
    if (input.type === 'message') this.#noteAnswer(input.message)
    else if (input.type === 'elapse' && raft.quorate) this.#assertHeard(raft)
  }

  /** True time, less naps. */
  get #now(): number {
    const { process, time } = this.#options
    return time.now - process.nappedMs
  }

  /** Beats of servers that stand on their own grids do not fall into step under load. */
  #beat(): void {
    const { process, time, settings } = this.#options
    const everyMs = settings.heartbeatMs / 2
    // Two beats ago it was left in peace: its timer was armed since.
    if (time.now - process.disturbedAt < 3 * everyMs) return
    const phase = process.clock.now() % everyMs
    this.#phase ??= phase
    const off = Math.abs(phase - this.#phase)
    const isOn = Math.min(off, everyMs - off) < exactMs
    assert(isOn, `a beat ${off.toFixed(3)} ms off its grid, though nothing was in its way`)
  }

  #noteRounds({ send }: Effects): void {
    for (const { message } of send) {
      if (message.type !== 'heartbeat' || message.round === 0) continue
      if (message.round > (this.#rounds.at(-1)?.round ?? 0)) {
        this.#rounds.push({ round: message.round, at: this.#now })
      }
    }
    if (this.#rounds.length > 2_000) this.#rounds.splice(0, 1_000)
  }

  #noteAnswer(message: Extract<Input, { type: 'message' }>['message']): void {
    const { type, from, term } = message
    const isAnswer =
      type === 'heartbeatReply' || type === 'appendEntriesReply' || type === 'installSnapshotReply'
    if (!isAnswer || term !== this.#term) return
    const begun = this.#rounds.findLast(({ round }) => round <= message.round)
    if (begun === undefined) return
    this.#answered.set(from, Math.max(begun.at, this.#answered.get(from) ?? 0))
  }

  /** First stage of check-quorum (thesis 6.2): whoever takes work was heard, by what it said within T. */
  #assertHeard({ configuration, id }: Raft): void {
    const { settings } = this.#options
    const { electionTimeoutMs, heartbeatMs } = settings
    // Its clock may be slow, and time is told to it beat by beat.
    const limit = 1.25 * electionTimeoutMs + 2 * heartbeatMs
    const isHeard = (voter: string): boolean =>
      voter === id || this.#now - (this.#answered.get(voter) ?? this.#electedAt) < limit
    for (const half of [configuration.voters, configuration.outgoing]) {
      if (half.length === 0) continue
      const heard = half.filter(isHeard).length
      assert(heard >= majority(half.length), `${id} is called quorate, heard by ${heard}`)
    }
  }
}
