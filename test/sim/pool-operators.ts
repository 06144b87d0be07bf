/**
 * Operators of a simulated pool: they add and take away at bad moments, and ask again, through any server, when no answer
 * comes.
 *
 * I4: what a command changes is measured on the ledger, by its id: never twice, and surely once it was acknowledged. I6:
 * what was acknowledged is there in the end, on every server. What was asked and told is linearizable, id by id.
 */
import assert from 'node:assert/strict'
import { pack, unpack } from 'msgpackr'
import { bounds } from '../../lib/ledger/command.ts'
import type { CodeContent, Command, Result, Settings } from '../../lib/ledger/command.ts'
import type { Ledger } from '../../lib/ledger/ledger.ts'
import { shortestMs } from '../../lib/server/ctl-request.ts'
import { checkLinearizable, type Operation } from './linear.ts'
import { vendor } from './pool-codes.ts'
import { modelOf, type Fate, type Input, type Output } from './pool-fates.ts'
import { drawChange, newcomers } from './pool-members.ts'
import type { PoolWorld } from './pool-world.ts'
import type { SeededRandom } from './seeded-random.ts'

/** The ledger's last word on an id. Others may change: nobody led, or time was over. */
const lastWords = new Set([
  'LICD_FEATURE_EXISTS',
  'LICD_UNKNOWN_FEATURE',
  'LICD_CODE_EXISTS',
  'LICD_CODE_EXPIRED',
  'LICD_UNKNOWN_CODE',
  'LICD_TARGETS_TOO_LARGE',
  'LICD_UNKNOWN_SERVER',
  'LICD_TOO_MANY',
])

type Answer = { readonly ok: boolean; readonly code?: string; readonly outcome?: Output }

interface Change {
  readonly id: string
  readonly operation: string
  readonly fields: object
  readonly calledAt: number
  tries: number
}

export class PoolOperators {
  acknowledged = 0
  undecided = 0
  /** The slowest settings that ever were. */
  slowest: Settings
  open = 0
  readonly #world: PoolWorld
  readonly #random: SeededRandom
  readonly #bus
  readonly #clock
  /** Id -> how it ended by the ledger. */
  readonly #fates = new Map<string, Fate>()
  readonly #effects = new Map<string, number>()
  /** Id -> the tick at which it was first applied, which its deadline was not before. */
  readonly #appliedAt = new Map<string, number>()
  readonly #acknowledged = new Set<string>()
  readonly #history = new Map<string, Operation<Input, Output>[]>()
  readonly #newcomers = newcomers()
  readonly #left = new Set<string>()
  #asked = 0
  #codes = 0
  #changingMembers = false
  #settingsLeft: number

  constructor(world: PoolWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
    this.slowest = world.options.settings
    this.#settingsLeft = world.options.habits?.settings ?? 4
    const { bus, clock } = world.pool.connect('operator-a')
    this.#bus = bus
    this.#clock = clock
  }

  /** Adds the features; the pool is whole. */
  found(): void {
    const { pool, options } = this.#world
    for (const { name, allocations, coded } of options.features) {
      const common = { id: `found-${name.replace('@', '.')}`, by: 'found', timeoutMs: 30_000 }
      const text = coded ? this.#codeText(name, 'feature', allocations) : ''
      const add = () =>
        coded
          ? pool.ask('code-add', { ...common, text })
          : pool.ask('feature-add', { ...common, feature: name, allocations })
      // A server that crashes with the request says nothing: asked again, under its id (R8).
      const answer = add() ?? add()
      assert(answer?.ok, `not added: ${JSON.stringify(answer)}`)
    }
  }

  start(): void {
    // Beside what befalls the pool: a steady little of everything that does no harm to its clients.
    this.#clock.after(this.#random.between(500, 4_000), () => {
      if (this.#world.faults.isOver) return
      if (this.#random.chance(0.3)) this.criteria()
      else if (this.#random.chance(0.2)) this.allocations()
      this.start()
    })
  }

  /** Whether a machine of that name shall run. */
  isMember(server: string): boolean {
    return !this.#left.has(server)
  }

  /** It says that it was removed: it ends, and is not started again. */
  removed(server: string): void {
    this.#left.add(server)
    this.#world.pool.time.after(0, () => this.#world.pool.crash(server))
  }

  codes(): void {
    const features = this.#world.options.features.filter(({ coded }) => coded)
    if (features.length === 0) return this.criteria()
    const { name } = this.#random.pick(features)
    const random = this.#random
    const known = [...(this.#world.state?.codes.values() ?? [])].filter(
      ({ content, state }) => content.feature === name && state !== 'ended',
    )
    const record = known.length > 0 ? random.pick(known) : undefined
    if (record !== undefined && random.chance(known.length > 2 ? 0.6 : 0.3)) {
      return this.#change('code-remove', { codeId: record.content.codeId })
    }
    const kind = known.length === 0 ? 'feature' : 'allocations'
    const [least, most] = this.#world.options.habits?.codesMs ?? [2_000, 25_000]
    const ends = random.chance(0.6) ? random.between(least, most) : undefined
    const text = this.#codeText(name, kind, random.between(1, 8), ends)
    return this.#change('code-add', { text })
  }

  #codeText(
    feature: string,
    kind: CodeContent['kind'],
    allocations: number,
    endsInMs?: number,
  ): string {
    const calendar = this.#world.state?.calendar ?? 0
    const startsAt = calendar + (this.#random.chance(0.3) && kind !== 'feature' ? 3_000 : 0)
    const content: CodeContent = {
      codeId: `code-${++this.#codes}`,
      kid: vendor.kid,
      vendor: vendor.name,
      customer: 'sim',
      feature,
      kind,
      allocations,
      startsAt,
      ...(endsInMs === undefined ? {} : { expiresAt: startsAt + endsInMs }),
      issuedAt: 0,
    }
    return JSON.stringify(content)
  }

  criteria(): void {
    const random = this.#random
    const { features, owner, habits } = this.#world.options
    const { name } = random.pick(features)
    const servers = [...(this.#world.state?.servers.keys() ?? [])].sort()
    if (random.chance(habits?.threshold === undefined ? 0.25 : 0.5)) {
      const threshold = habits?.threshold ?? random.pick([0.5, 0.8, 0.9, 1])
      const server = random.chance(0.5) ? { server: random.pick(servers) } : {}
      return this.#change('threshold-set', { feature: name, threshold, ...server })
    }
    const all = this.#world.state?.features.get(name)?.allocations ?? 0
    const targets: Record<string, number> = {}
    const shape =
      owner === 'nobody'
        ? 'little'
        : owner === 'follower'
          ? 'one'
          : random.pick([...(owner === undefined ? ['random'] : []), 'one', 'little'])
    let left = shape === 'little' ? Math.min(all, servers.length) : all
    for (const server of servers) {
      targets[server] = random.between(0, shape === 'little' ? Math.min(1, left) : left)
      left -= targets[server]
    }
    if (shape === 'one') for (const name of servers) targets[name] = 0
    if (shape === 'one') targets[this.#owner(servers)] = all
    const isEven = random.chance(owner === undefined ? 0.4 : 0.1)
    return this.#change('criteria-set', { feature: name, targets: isEven ? 'even' : targets })
  }

  #owner(servers: readonly string[]): string {
    const { owner } = this.#world.options
    const leader = this.#world.pool.leader?.server
    if (owner === 'leader' && leader !== undefined) return leader
    // The same one every time, as long as it does not lead.
    const [first] = owner === 'follower' ? servers.filter(server => server !== leader) : []
    return first ?? this.#random.pick(servers)
  }

  allocations(): void {
    const locals = this.#world.options.features.filter(({ coded }) => !coded)
    const { name } = this.#random.pick(locals)
    const now = this.#world.state?.features.get(name)?.allocations ?? 0
    if (now > 40) return
    this.#change('allocations-add', { feature: name, count: this.#random.between(1, 3) })
  }

  settings(): void {
    const random = this.#random
    // Faster ticks stretch all that lies ahead.
    if (this.#settingsLeft-- <= 0) return
    // Not far from what was: what lasted by ticks of 50 ms would last as many of a second (safe, and tedious).
    const { settings: first } = this.#world.options
    const drawnTicks = Math.max(3, Math.round(first.leaseTicks * (0.6 + random.next() * 0.7)))
    const tickMs = Math.round(first.tickMs * random.pick([0.6, 0.8, 1, 1.25, 1.6]))
    const leaseTicks = Math.max(drawnTicks, Math.ceil(shortestMs.lease / tickMs))
    const seatTicks = Math.max(2, Math.round(leaseTicks * (0.5 + random.next() * 0.5)))
    const settings: Settings = {
      ...{ tickMs, leaseTicks },
      seatTicks: Math.max(seatTicks, Math.ceil(shortestMs.seat / tickMs)),
    }
    const { slowest } = this
    this.slowest = {
      tickMs: Math.max(slowest.tickMs, settings.tickMs),
      leaseTicks: Math.max(slowest.leaseTicks, settings.leaseTicks),
      seatTicks: Math.max(slowest.seatTicks, settings.seatTicks),
    }
    this.#change('settings-set', { settings })
  }

  /** Servers were made to come or go a moment ago. */
  get isChangingMembers(): boolean {
    return this.#changingMembers
  }

  members(): void {
    const { state, pool, options } = this.#world
    if (this.#changingMembers || state === undefined) return
    const change = drawChange(state, options, this.#random, this.#newcomers)
    if (change === undefined) return
    const { operation, fields } = change
    if (operation === 'servers-add') {
      pool.addMachine(fields.server)
      pool.start(fields.server)
    }
    this.#changingMembers = true
    this.#world.tell(`${operation} ${JSON.stringify(fields)}`)
    const { membersPauseMs = 2_500 } = options.habits ?? {}
    this.#clock.after(membersPauseMs, () => (this.#changingMembers = false))
    this.#change(operation, fields)
  }

  transfer(): void {
    const running = this.#world.pool.running.map(({ server }) => server)
    const names = running.length > 0 && this.#random.chance(0.5)
    const to = names ? { to: this.#random.pick(running) } : {}
    this.#ask('transfer-leader', { timeoutMs: 2_000, ...to }, 3_000, () => {})
  }

  #change(operation: string, fields: object): void {
    const id = `op-${++this.#asked}`
    this.open++
    this.#try({ id, operation, fields, calledAt: this.#world.now, tries: 0 })
  }

  #try(change: Change): void {
    const random = this.#random
    const { id, operation, fields } = change
    change.tries++
    const timeoutMs = random.pick([800, 2_000, 6_000])
    const request = { id, by: 'operator', timeoutMs, ...fields }
    this.#ask(operation, request, timeoutMs + 500, answer => {
      if (this.#isLastWord(change, answer)) return
      if (change.tries < 4 && random.chance(0.7)) this.#try(change)
      else {
        // Nobody knows; then it is asked for by its id.
        this.#record(id, 'change', undefined, change.calledAt)
        this.open--
        this.#inquire(id)
      }
    })
    // Some cannot wait, and say it twice, maybe through another server.
    if (random.chance(0.2)) {
      this.#clock.after(random.between(0, 1_000), () => {
        this.#ask(operation, request, timeoutMs, () => {})
      })
    }
  }

  #isLastWord(change: Change, answer: Answer | undefined): boolean {
    const { id, operation, calledAt } = change
    if (answer === undefined) return false
    const isMembers = operation.startsWith('servers-')
    if (answer.ok) {
      this.acknowledged++
      assert(isMembers || this.#fates.get(id) === 'applied', `I4, I6: ${id} was acknowledged only`)
      if (!isMembers) this.#acknowledged.add(id)
      this.#record(id, 'change', 'applied', calledAt)
    } else if (lastWords.has(answer.code ?? '') && !isMembers) {
      assert(this.#fates.get(id) !== 'applied', `I4: ${id} was refused, and applied`)
      this.#record(id, 'change', 'refused', calledAt)
    } else return false
    this.open--
    if (!isMembers && this.#random.chance(0.4)) this.#inquire(id)
    return true
  }

  #inquire(id: string): void {
    const calledAt = this.#world.now
    this.#ask('outcome', { id }, 3_000, answer => {
      if (answer?.ok !== true || answer.outcome === undefined) return
      this.#world.coverage.note('outcome asked')
      this.#record(id, 'question', answer.outcome, calledAt)
    })
  }

  #record(id: string, input: Input, output: Output | undefined, calledAt: number): void {
    const history = this.#history.get(id) ?? []
    this.#history.set(id, history)
    const returnedAt = output === undefined ? Infinity : this.#world.now
    history.push({ input, output, calledAt, returnedAt })
  }

  #ask(
    operation: string,
    request: object,
    timeoutMs: number,
    done: (answer: Answer | undefined) => void,
  ): void {
    const bus = this.#bus
    const { pool } = this.#world
    const reply = `${bus.inbox}.${++this.#asked}`
    let isOver = false
    const finish = (answer: Answer | undefined): void => {
      if (isOver) return
      isOver = true
      subscription.unsubscribe()
      timer.cancel()
      done(answer)
    }
    const subscription = bus.subscribe(reply, ({ data, noResponders }) => {
      finish(noResponders ? undefined : (unpack(data) as Answer))
    })
    const timer = this.#clock.after(timeoutMs, () => finish(undefined))
    const server = this.#random.pick(pool.names)
    const subject = this.#random.chance(0.5)
      ? pool.subjects.ctl(operation)
      : pool.subjects.ctlAt(operation, server)
    bus.publish(subject, pack(request), { reply })
  }

  /** I4, from within: before a command is applied for the first time by anybody, and after. */
  applying({ state }: Ledger, { id, by }: Command): ((result: Result) => void) | undefined {
    if (by !== 'operator') return undefined
    const mark = (): string => `${state.revision} ${JSON.stringify(state.settings)}`
    const before = mark()
    return result => {
      const fate = result.ok ? 'applied' : 'refused'
      const was = this.#fates.get(id)
      const isKept = state.results.has(id)
      if (isKept && was !== undefined) assert.equal(fate, was, `I4: ${id} was ${was}, now ${fate}`)
      if (isKept) this.#fates.set(id, fate)
      if (!this.#appliedAt.has(id)) this.#appliedAt.set(id, state.tick)
      if (mark() === before) return
      const effects = (this.#effects.get(id) ?? 0) + 1
      this.#effects.set(id, effects)
      assert.equal(effects, 1, `I4: ${id} took effect ${effects} times`)
      assert.equal(fate, 'applied', `I4: ${id} was refused and changed something`)
    }
  }

  /** I6 and the histories, once all servers agree. */
  checkAll(): void {
    const { pool } = this.#world
    for (const { server, ledger } of pool.running) {
      const role = this.#world.state?.servers.get(server)?.role ?? 'removed'
      if (role === 'removed') continue
      for (const id of this.#acknowledged) {
        const appliedAt = this.#appliedAt.get(id) ?? Infinity
        const { tick, forgottenBefore } = ledger.state
        if (tick > appliedAt + bounds.resultTicks) continue // R8: it may be forgotten.
        if (appliedAt < forgottenBefore) continue // Or early.
        assert(ledger.state.results.get(id)?.result.ok, `I6: ${server} knows nothing of ${id}`)
      }
    }
    const { forgottenBefore = 0 } = this.#world.state ?? {}
    for (const [id, history] of this.#history) {
      const fate = this.#fates.get(id)
      // A change of which nobody heard, and that the log does not know, never happened.
      const known = history.filter(({ output }) => output !== undefined || fate !== undefined)
      const isForgotten = (this.#appliedAt.get(id) ?? Infinity) < forgottenBefore
      const verdict = checkLinearizable(modelOf(fate ?? 'open', isForgotten), known)
      if (verdict === 'undecided') this.undecided++
      assert(verdict !== 'not-linearizable', `what was told of ${id} is not linearizable`)
    }
  }
}
