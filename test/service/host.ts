/**
 * The host of a seat service in tests: hello, keepalives, lease and submitting, in the plainest form that keeps the
 * rules. It applies the world's log to a ledger of its own, with delays.
 */
import assert from 'node:assert/strict'
import { silentLogger } from '../../raft/ports.ts'
import type { Command, CommandBody, Listing } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { TokenKeys } from '../../lib/token-keys.ts'
import type { Host, Outcome, SeatService } from '../../lib/server/parts.ts'
import type { MemoryBus } from '../sim/memory-bus.ts'
import type { SeededRandom } from '../sim/seeded-random.ts'
import type { VirtualClock } from '../sim/virtual-clock.ts'
import { macKey, poolName, poolSubjects } from './names.ts'
import type { Server, World } from './world.ts'

interface Submitted {
  readonly command: Command
  readonly done: (outcome: Outcome) => void
}

export class TestHost implements Host {
  readonly server: string
  readonly pool = poolName
  readonly subjects = poolSubjects
  readonly bus: MemoryBus
  readonly clientBus: MemoryBus
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly log = silentLogger
  readonly keys = new TokenKeys(poolName, [macKey], () => this.ledger.state.tokenKeys)
  ledger: Ledger
  incarnation = 0
  leaseUntil = 0
  tickAppliedAt = 0
  stopping = false
  appliedIndex: number
  service: SeatService | undefined
  readonly #owner: Server
  readonly #world: World
  readonly #open = new Map<string, Submitted>()
  readonly #offers = new Map<string, number>()
  #bootId = ''
  #number = 0
  readonly #sentAt = new Map<number, number>()
  #applyAt = 0
  #scheduled: number

  constructor(
    owner: Server,
    parts: { clock: VirtualClock; bus: MemoryBus; ledger: Ledger; applied: number },
  ) {
    this.#owner = owner
    this.#world = owner.world
    this.server = owner.name
    this.clock = parts.clock
    this.bus = parts.bus
    this.clientBus = parts.bus
    this.random = owner.random.split('host')
    this.ledger = parts.ledger
    this.appliedIndex = parts.applied
    this.#scheduled = parts.applied
  }

  get isLeader(): boolean {
    return this.#world.leader === this.server
  }

  get leader(): string | undefined {
    return this.#world.leader
  }

  begin(): void {
    const { clock } = this
    const keepalives = (): void => {
      if (!this.isLeader) {
        const listing = this.keepalive()
        if (listing !== undefined) this.#toLeader(() => this.#world.heardKeepalive(listing))
      }
      clock.after(this.#world.truth.state.settings.tickMs / 2, keepalives)
    }
    clock.after(this.random.between(1, 50), () => {
      this.#hello()
      keepalives()
    })
    const resend = (): void => {
      for (const { command } of this.#open.values()) this.#send(command)
      clock.after(500, resend)
    }
    clock.after(500, resend)
  }

  #hello(): void {
    if (this.ledger.state.pool === '') {
      this.clock.after(50, () => this.#hello())
      return
    }
    const bootId = this.random.id()
    this.#bootId = bootId
    this.leaseUntil = 0
    this.#sentAt.clear()
    this.#sentAt.set(0, this.clock.now())
    this.#number = 0
    const hello = { type: 'hello', server: this.server, bootId } as const
    this.submit(hello, {}, outcome => {
      if (bootId !== this.#bootId) return
      if (outcome.type === 'applied' && outcome.result.ok && 'incarnation' in outcome.result) {
        this.#start(outcome.result.incarnation, outcome.result.relearn)
      } else this.clock.after(250, () => bootId === this.#bootId && this.#hello())
    })
  }

  #start(incarnation: number, relearn: boolean): void {
    this.incarnation = incarnation
    // Given however old it is, and more than once: a disk may lie. The service has to see whether it may believe it.
    const { book } = this.#owner
    this.service?.start({ relearn, ...(book === undefined ? {} : { book: book.bytes }) })
  }

  keepalive(): Listing | undefined {
    if (this.incarnation === 0 || !this.#owner.running) return undefined
    const number = ++this.#number
    this.#sentAt.set(number, this.clock.now())
    const { server, incarnation } = this
    const usage = this.service?.usage(100) ?? []
    return { server, incarnation, number, wallMs: this.clock.wall(), usage }
  }

  submit(
    body: CommandBody,
    options: { readonly id?: string; readonly deadlineTicks?: number; readonly deadline?: number },
    done: (outcome: Outcome) => void,
  ): void {
    const { tick, settings } = this.ledger.state
    const id = options.id ?? `${this.server}.${this.random.id()}`
    const ticks = Math.min(options.deadlineTicks ?? 10, settings.leaseTicks - 1)
    const deadline = options.deadline ?? tick + ticks
    const known = this.ledger.state.results.get(id)
    if (known !== undefined) {
      const { result } = known
      this.clock.defer(() => done({ type: 'applied', result, duplicate: true }))
      return
    }
    assert(!this.#open.has(id), 'submitted twice')
    const command = { id, deadline, by: `server:${this.server}`, body }
    this.#open.set(id, { command, done })
    this.#send(command)
  }

  #send(command: Command): void {
    this.#toLeader(() => this.#world.receive(command))
  }

  /** One message to the leader: it may be lost, and takes its time. */
  #toLeader(arrive: () => void): void {
    const world = this.#world
    if (this.#owner.isolated || world.random.chance(world.loss)) return
    world.time.after(0.2 + world.random.next() * 3, () => {
      const leader = world.leader === undefined ? undefined : world.server(world.leader)
      if (leader?.running === true) leader.clock.whenRunning(arrive)
    })
  }

  offer(id: string, body: Extract<CommandBody, { type: 'borrow' }>, deadline: number) {
    const offer = this.service?.offer(id, body)
    if (offer !== undefined) this.#offers.set(id, deadline)
    return offer
  }

  catchUp(): void {
    const world = this.#world
    while (this.#scheduled < world.log.length) {
      const index = ++this.#scheduled
      const [low, high] = world.options.applyMs ?? [0.5, 3]
      const delay = low + world.random.next() * (high - low)
      this.#applyAt = Math.max(this.#applyAt, world.time.now + delay)
      world.time.at(this.#applyAt, () => this.clock.whenRunning(() => this.#apply(index)))
    }
  }

  #apply(index: number): void {
    // Applied already, or delivered before an entry that isolation kept away: that one comes again first.
    if (index !== this.appliedIndex + 1) return
    if (this.#owner.isolated) {
      this.#scheduled = Math.min(this.#scheduled, this.appliedIndex)
      return
    }
    const entry = this.#world.log[index - 1]
    assert(entry !== undefined)
    this.appliedIndex = index
    const { command } = entry
    const { id, body } = command
    const { result, duplicate, changed } = this.ledger.apply(command, index)
    if (body.type === 'tick') this.#ticked()
    const applied = { index, id, body, result, duplicate, changed }
    // The order of these is the host's own affair: the service must not depend on it.
    const steps = [
      () => this.service?.applied(applied),
      () => this.#settle(id, { type: 'applied', result, duplicate }),
      () => {
        if (this.#offers.delete(id)) this.service?.settleOffer(id)
      },
    ]
    const first = index % 3
    for (let n = 0; n < 3; n++) steps[(first + n) % 3]?.()
  }

  #ticked(): void {
    const { tick, settings, servers } = this.ledger.state
    this.tickAppliedAt = this.clock.now()
    const record = servers.get(this.server)
    if (record !== undefined && record.incarnation === this.incarnation && this.incarnation > 0) {
      if (record.listedTick === tick) {
        const sentAt = this.#sentAt.get(record.listedNumber)
        const lease = settings.leaseTicks * settings.tickMs * 0.98
        if (sentAt !== undefined) this.leaseUntil = Math.max(this.leaseUntil, sentAt + lease)
        for (const number of this.#sentAt.keys()) {
          if (number < record.listedNumber) this.#sentAt.delete(number)
        }
      }
      if (record.downAt <= tick) this.#wentDown()
    }
    for (const [id, { command }] of this.#open) {
      if (command.deadline < tick) this.#settle(id, { type: 'expired' })
    }
    for (const [id, deadline] of this.#offers) {
      if (deadline >= tick) continue
      this.#offers.delete(id)
      this.service?.settleOffer(id)
    }
  }

  #wentDown(): void {
    this.incarnation = 0
    this.leaseUntil = 0
    this.service?.ended()
    if (!this.stopping) this.#hello()
  }

  #settle(id: string, outcome: Outcome): void {
    const open = this.#open.get(id)
    if (open === undefined) return
    this.#open.delete(id)
    open.done(outcome)
  }

  install(): void {
    this.ledger = Ledger.restore(this.#world.truth.snapshot())
    this.appliedIndex = this.#world.log.length
    this.#scheduled = this.appliedIndex
    const { results } = this.ledger.state
    this.service?.installed()
    for (const id of [...this.#open.keys()]) {
      const known = results.get(id)
      if (known !== undefined) {
        this.#settle(id, { type: 'applied', result: known.result, duplicate: false })
      }
    }
    for (const id of [...this.#offers.keys()]) {
      if (results.has(id)) {
        this.#offers.delete(id)
        this.service?.settleOffer(id)
      }
    }
    this.#ticked()
  }
}
