/**
 * Commands of this server under way: each is pressed on the leader until it is applied here or can be no more.
 *
 * No answer of the leader is awaited. Whether a command took effect is told by the log alone: when its entry is
 * applied here, or when a tick beyond its deadline is (R8). So nothing that is lost, repeated or late on the
 * way can mislead, and a new leader is simply sent what is still open.
 */
import type { Clock, Timer } from '../../raft/ports.ts'
import type { Command, Result } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Outcome } from './parts.ts'

/** Commands under way. Beyond it a new one is `rejected` at once. */
export const pendingMax = 10_000
const resendMs = 500
/**
 * A leader is heard of before it can take commands on: it must apply its log first, and drops what comes sooner.
 * For this long after its election commands are sent again after `hurryMs`.
 */
const electedMs = 1_000
const hurryMs = 50
/** Commands sent again in one go, the longest waiting first; the others a moment later. */
const resendBurst = 256

interface Pending {
  readonly command: Command
  readonly done: ((outcome: Outcome) => void)[]
  /** When it was last given to a leader; `undefined` when it never was. */
  sentAt: number | undefined
  /** It was refused for the moment; another copy of it may yet be applied. */
  refusal?: Result
}

export interface SubmitterOptions {
  readonly clock: Clock
  readonly state: () => LedgerState
  /** Hands it to the leader: this server or another. False when none is known. */
  readonly send: (command: Command) => boolean
}

export class Submitter {
  readonly #options: SubmitterOptions
  readonly #pending = new Map<string, Pending>()
  #timer: Timer | undefined
  #hurryUntil = -Infinity
  #closed = false

  constructor(options: SubmitterOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#pending.size
  }

  /** `done` is called exactly once, never from within this call. A known id joins the command under way. */
  submit(command: Command, done: (outcome: Outcome) => void): void {
    const { clock, state } = this.#options
    const known = this.#pending.get(command.id)
    if (known !== undefined) {
      known.done.push(done)
      return
    }
    const remembered = state().results.get(command.id)
    if (remembered !== undefined) {
      clock.defer(() => done({ type: 'applied', result: remembered.result, duplicate: true }))
    } else if (command.deadline < state().tick) {
      clock.defer(() => done({ type: 'expired' }))
    } else if (this.#closed || this.#pending.size >= pendingMax) {
      clock.defer(() => done({ type: 'rejected' }))
    } else {
      const pending: Pending = { command, done: [done], sentAt: undefined }
      this.#pending.set(command.id, pending)
      this.#send(pending)
      this.#arm()
    }
  }

  /**
   * Forgets a command that was never given to a leader, and so can never take effect; its `done` is not
   * called. False when it was given to one, or when others wait for it too: then its outcome is open.
   */
  withdraw(id: string): boolean {
    const pending = this.#pending.get(id)
    if (pending === undefined || pending.sentAt !== undefined) return false
    if (pending.done.length > 1) return false
    this.#pending.delete(id)
    return true
  }

  /** The entry of a command was applied here. */
  applied(id: string, result: Result, duplicate: boolean): void {
    this.#settle(id, { type: 'applied', result, duplicate })
  }

  /**
   * Its entry was refused and the ledger keeps no memory of that (LICD_TOO_BUSY): a copy that stands further on
   * in the log may take effect all the same, so the refusal is an outcome only once the deadline has passed.
   */
  refusedForNow(id: string, refusal: Result): void {
    const pending = this.#pending.get(id)
    if (pending !== undefined) pending.refusal = refusal
  }

  /** A tick was applied: commands whose deadline has passed can be applied no more, anywhere. */
  ticked(): void {
    const { tick } = this.#options.state()
    for (const [id, { command, refusal }] of this.#pending) {
      if (command.deadline >= tick) continue
      if (refusal === undefined) this.#settle(id, { type: 'expired' })
      else this.applied(id, refusal, false)
    }
  }

  /** The ledger was replaced by a snapshot: what the skipped entries did stands in it (R11). */
  installed(): void {
    for (const id of [...this.#pending.keys()]) {
      const remembered = this.#options.state().results.get(id)
      if (remembered !== undefined) this.applied(id, remembered.result, false)
    }
    this.ticked()
  }

  /** There is a leader, another one or again: everything open is sent to it. */
  leaderChanged(): void {
    this.#hurryUntil = this.#options.clock.now() + electedMs
    for (const pending of this.#pending.values()) this.#send(pending)
    this.#timer?.cancel()
    this.#timer = undefined
    this.#arm()
  }

  /** Nothing is sent any more. What a leader was given may yet be applied: its outcome is `unknown`; the rest is `rejected`. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#timer = undefined
    for (const [id, { sentAt }] of [...this.#pending]) {
      this.#settle(id, { type: sentAt === undefined ? 'rejected' : 'unknown' })
    }
  }

  #settle(id: string, outcome: Outcome): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    for (const done of pending.done) done(outcome)
  }

  #send(pending: Pending): void {
    if (this.#options.send(pending.command)) pending.sentAt = this.#options.clock.now()
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#closed || this.#pending.size === 0) return
    const { clock } = this.#options
    const pauseMs = clock.now() < this.#hurryUntil ? hurryMs : resendMs
    this.#timer = clock.after(pauseMs, () => {
      this.#timer = undefined
      this.#resend(pauseMs)
      this.#arm()
    })
  }

  #resend(pauseMs: number): void {
    const before = this.#options.clock.now() - pauseMs / 2
    let sent = 0
    for (const [id, pending] of this.#pending) {
      if (sent === resendBurst) break
      if (pending.sentAt !== undefined && pending.sentAt > before) continue
      sent++
      // To the end of the line, so that each gets its turn.
      this.#pending.delete(id)
      this.#pending.set(id, pending)
      this.#send(pending)
    }
  }
}
