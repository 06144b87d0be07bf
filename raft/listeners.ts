/**
 * Who wants to hear of a node: its status when it changes, peers that are gone, and its end.
 *
 * What a listener throws is its own defect, and stops nothing.
 */
import type { RaftError } from './error.ts'
import type { NodeStatus } from './node.ts'
import type { Subscription } from './ports.ts'

export class Listeners {
  readonly #call: (run: () => void) => void
  readonly #status = new Set<(status: NodeStatus) => void>()
  readonly #unreachable = new Set<(peer: string) => void>()
  readonly #fatal = new Set<(error: RaftError) => void>()
  /** What was told last. */
  #told: NodeStatus | undefined

  /** `call` runs a listener, and catches what it throws. */
  constructor(call: (run: () => void) => void) {
    this.#call = call
  }

  onStatus(handle: (status: NodeStatus) => void): Subscription {
    return subscribed(this.#status, handle)
  }

  onUnreachable(handle: (peer: string) => void): Subscription {
    return subscribed(this.#unreachable, handle)
  }

  onFatal(handle: (error: RaftError) => void): Subscription {
    return subscribed(this.#fatal, handle)
  }

  /** Tells of it when something that one may act on has changed; whether it had. */
  status(status: NodeStatus): boolean {
    const told = this.#told
    this.#told = status
    if (told !== undefined && isSame(told, status)) return false
    for (const handle of [...this.#status]) this.#call(() => handle(status))
    return true
  }

  unreachable(peer: string): void {
    for (const handle of [...this.#unreachable]) this.#call(() => handle(peer))
  }

  fatal(error: RaftError): void {
    for (const handle of [...this.#fatal]) this.#call(() => handle(error))
  }
}

function isSame(one: NodeStatus, other: NodeStatus): boolean {
  return (
    one.role === other.role &&
    one.term === other.term &&
    one.leader === other.leader &&
    one.configuration === other.configuration &&
    one.quorate === other.quorate &&
    one.removed === other.removed &&
    one.trust === other.trust &&
    one.differing === other.differing
  )
}

function subscribed<T>(handlers: Set<T>, handle: T): Subscription {
  handlers.add(handle)
  return { unsubscribe: () => void handlers.delete(handle) }
}
