/**
 * The leader's intake: commands, its own and those the other servers send, on their way into the log.
 *
 * Only a leader proposes; at any other server a command is dropped and its sender tries again. A borrow gets the
 * leader's own spare as an offer, and the leader's limit is lowered *before* it is proposed (R1); it stays
 * lowered until that id is applied here, either way, or its deadline has passed.
 *
 * An id already under way is not proposed twice. That spares the log; correctness rests on the ledger (I4).
 */
import type { Command, Offer } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import { commandCodec } from '../command-codec.ts'
import type { ProposeOptions } from '../../raft/index.ts'

/** Proposals under way. Beyond it commands are dropped; their senders come again. */
const underWayMax = 20_000

type Borrow = Extract<Command['body'], { type: 'borrow' }>

export interface IntakeOptions {
  readonly state: () => LedgerState
  readonly isLeader: () => boolean
  readonly offer: (offerId: string, borrow: Borrow) => Offer | undefined
  readonly settleOffer: (offerId: string) => void
  /** `refused`: it did not enter the log and never will by this proposal. */
  readonly propose: (
    data: Uint8Array,
    done: (outcome: 'refused' | 'other') => void,
    options: ProposeOptions,
  ) => void
}

interface Lowered {
  readonly deadline: number
  readonly feature: string
  readonly offer: Offer
}

/** What only the leader itself may put into the log. */
const ownTypes: ReadonlySet<Command['body']['type']> = new Set(['genesis', 'tick', 'recover'])

export class Intake {
  readonly #options: IntakeOptions
  /** Id -> deadline of what was proposed in this office. */
  readonly #underWay = new Map<string, number>()
  /** By id: borrows for which the own limit is lowered. Outlives the office. */
  readonly #offers = new Map<string, Lowered>()
  #dropped = 0

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /** Messages that were malformed or no business of a server's. */
  get dropped(): number {
    return this.#dropped
  }

  /** A command from another server, as it came. Returns false when it was dropped. */
  receive(data: Uint8Array): boolean {
    if (!this.#options.isLeader()) return false
    const command = commandCodec.decode(data)
    if (command === undefined || ownTypes.has(command.body.type)) {
      this.#dropped++
      return false
    }
    return this.#take(command, { patient: false })
  }

  /** A command of this server. Returns false when it cannot be taken now. */
  take(command: Command): boolean {
    return this.#take(command, { patient: true })
  }

  /** `patient`: no other server waits for it. */
  #take(command: Command, options: ProposeOptions): boolean {
    const { state, isLeader, propose } = this.#options
    if (!isLeader()) return false
    const { id, deadline } = command
    if (this.#underWay.has(id) || state().results.has(id)) return true
    if (deadline < state().tick) return false
    if (this.#underWay.size >= underWayMax) return false

    this.#underWay.set(id, deadline)
    const done = (outcome: 'refused' | 'other'): void => {
      if (outcome !== 'refused') return
      this.#underWay.delete(id)
      this.#settle(id)
    }
    propose(commandCodec.encode(this.#withOffer(command)), done, options)
    return true
  }

  /** The entry of `id` was applied here, whoever proposed it. */
  applied(id: string): void {
    this.#underWay.delete(id)
    this.#settle(id)
  }

  /** A tick was applied: what its deadline has passed can be applied no more. */
  ticked(): void {
    const { tick } = this.#options.state()
    for (const [id, deadline] of this.#underWay) if (deadline < tick) this.#underWay.delete(id)
    for (const [id, { deadline }] of this.#offers) if (deadline < tick) this.#settle(id)
  }

  /** R11: what the snapshot does not tell of stays promised until its deadline has passed. */
  installed(): void {
    for (const id of [...this.#offers.keys()]) {
      if (this.#options.state().results.has(id)) this.#settle(id)
    }
    this.ticked()
  }

  /** Proposals of a past office may or may not be committed; they come again by their senders. */
  leaveOffice(): void {
    this.#underWay.clear()
  }

  /** This incarnation is over: the book is gone, and with it what was promised. The ledger refuses the offers. */
  ended(): void {
    this.#offers.clear()
  }

  #withOffer(command: Command): Command {
    const { id, deadline, body } = command
    if (body.type !== 'borrow') return command
    // Only the leader's own word counts, and only while it can be held to it.
    const { offer: _claimed, ...borrow } = body
    const lowered = this.#offers.get(id)
    if (lowered !== undefined) {
      // Lowered for an earlier proposal of this id. At most one of them is applied, so one promise does for both.
      const same = lowered.feature === borrow.feature && lowered.deadline === deadline
      return { ...command, body: same ? { ...borrow, offer: lowered.offer } : borrow }
    }
    const offer = this.#options.offer(id, borrow)
    if (offer === undefined) return { ...command, body: borrow }
    this.#offers.set(id, { deadline, feature: borrow.feature, offer })
    return { ...command, body: { ...borrow, offer } }
  }

  #settle(id: string): void {
    if (this.#offers.delete(id)) this.#options.settleOffer(id)
  }
}
