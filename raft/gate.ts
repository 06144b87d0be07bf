/**
 * Messages that wait for the disk: a vote, or "I have your entries", must not leave before it is true for good
 * (paper, 5.1).
 *
 * Invariant: a held message leaves only when everything up to its `seq` is durable.
 */
import type { Message } from './core/message.ts'

/** With a disk that hangs, the oldest are dropped beyond this: Raft survives lost messages. */
const maxHeld = 4096

export class Gate {
  readonly #send: (message: Message) => void
  #held: { readonly message: Message; readonly after: number }[] = []

  constructor(send: (message: Message) => void) {
    this.#send = send
  }

  hold(message: Message, after: number): void {
    this.#held.push({ message, after })
    if (this.#held.length > maxHeld) this.#held.shift()
  }

  /** Everything up to `seq` is durable. @returns whether something waited for it. */
  release(seq: number): boolean {
    // Seqs never fall from one step to the next, so those that may leave stand first.
    const kept = this.#held.findIndex(({ after }) => after > seq)
    const due = this.#held.splice(0, kept < 0 ? this.#held.length : kept)
    for (const { message } of due) this.#send(message)
    return due.length > 0
  }

  clear(): void {
    this.#held = []
  }
}
