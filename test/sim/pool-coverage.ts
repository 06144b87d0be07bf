/**
 * How often each branch of the rules was taken: told by what was applied and by what the ledger was before and after,
 * not by the product.
 */
import type { Command, CommandBody, Result } from '../../lib/ledger/command.ts'
import type { Ledger } from '../../lib/ledger/ledger.ts'
import type { LedgerState, ServerState } from '../../lib/ledger/state.ts'

/** Rule -> its branches, each to be taken many times in a long run. */
export const branches = {
  'R1 the giver goes first': [
    'offer made',
    'offer taken',
    'return applied',
    'return refused',
    'lend applied',
    'lend refused',
    'demand gone at lend',
  ],
  'R2 ticks': ['tick', 'settings slower', 'settings faster', 'lease ticks changed'],
  'R3 lease': [
    'server silent',
    'server down',
    'lease lost',
    'suspended server',
    'incarnation over',
    'removed server forgotten',
  ],
  'R4 seats and leases': [
    'granted',
    'granted count > 1',
    'renewed',
    'refused not serving',
    'refused over limit',
    'suspended client',
    'lost by client',
  ],
  'R5 re-grant': ['released', 'dark seat renewed', 'token proves nothing'],
  'R6 move': [
    'challenge asked',
    'challenge answered',
    'challenge silent',
    'old server: yes',
    'old server: unknown',
    'old server: gone',
    'old server: silent',
    'moved',
    'moved again',
    'move refused',
    'spare instead of move',
    'move forgotten',
    'moved from a silent server',
    'moved away known',
    'moved away while relearning',
    'no move now',
    'pending told',
    'moved by client',
  ],
  'R7 incarnation': [
    'hello fresh',
    'hello relearn',
    'past incarnation refused',
    'relearned seat',
    'released while relearning',
    'leave',
    'hand-over consumed',
    'hand-over void',
  ],
  'R8 deadlines': ['deadline refused', 'outcome asked'],
  'R9 less': ['owed made', 'owed paid', 'code removed', 'code ended', 'code started'],
  'R10 calendar': ['calendar moved', 'calendar held'],
  'R11 snapshots': ['snapshot installed', 'installed with promises', 'installed with moves'],
  'R12 demand': ['demand queued', 'demand met', 'demand withdrawn', 'demand dropped'],
  'section 5 sources': [
    'request: free',
    'request: down',
    'request: offer',
    'request: none',
    'update: offer',
    'update: free',
    'update: move',
    'update: down',
    'update: none',
    'top-up',
    'criteria changed',
    'allocations added',
  ],
  'rare by nature': [
    'offer void',
    'moved already here',
    'hello again',
    'old server: no',
    'moved away unknown',
    'id repeated',
  ],
  membership: ['server added', 'server promoted', 'server demoted', 'server removed'],
} as const

type Rule = keyof typeof branches
export type Branch = (typeof branches)[Rule][number]

/** Named in the table, and asked of no run: other tests make them happen. */
const rare: ReadonlySet<Branch> = new Set(branches['rare by nature'])

export const allBranches: readonly Branch[] = Object.values(branches)
  .flat()
  .filter(branch => !rare.has(branch))

/** What a command may change, as it was. */
interface Before {
  readonly tick: number
  readonly calendar: number
  readonly servers: ReadonlyMap<string, ServerState>
  readonly owed: number
  readonly free: number
  readonly waiting: number
  readonly moves: number
  readonly roles: ReadonlyMap<string, string>
  readonly incarnations: ReadonlyMap<string, number>
  readonly settings: LedgerState['settings']
  readonly codes: ReadonlyMap<string, string>
  /** Where the seat of a borrow's move stood by an earlier move. */
  readonly movedTo: string | undefined
}

export class PoolCoverage {
  readonly counts = new Map<Branch, number>()

  note(branch: Branch, times = 1): void {
    if (times > 0) this.counts.set(branch, (this.counts.get(branch) ?? 0) + times)
  }

  before(ledger: Ledger, { body }: Command): Before {
    const { state } = ledger
    const { tick, calendar, settings } = state
    const names = [...state.servers.keys()]
    return {
      tick,
      calendar,
      servers: new Map(names.map(name => [name, ledger.serverState(name)])),
      owed: owedOf(state),
      free: freeOf(state),
      waiting: waitingOf(state),
      moves: state.moves.size,
      roles: new Map([...state.servers.values()].map(({ name, role }) => [name, role])),
      incarnations: new Map([...state.servers.values()].map(one => [one.name, one.incarnation])),
      settings,
      codes: new Map([...state.codes].map(([id, { state: codeState }]) => [id, codeState])),
      movedTo: body.type === 'borrow' ? state.moves.get(body.move?.seatId ?? '')?.to : undefined,
    }
  }

  after(before: Before, ledger: Ledger, { body }: Command, result: Result, again: boolean): void {
    if (again) {
      this.note('id repeated')
      return
    }
    const { state } = ledger
    if (!result.ok) {
      if (result.code === 'LICD_DEADLINE') this.note('deadline refused')
      if (result.code === 'LICD_PAST_INCARNATION') this.note('past incarnation refused')
    }
    const owed = owedOf(state) - before.owed
    if (owed > 0) this.note('owed made')
    if (owed < 0) this.note('owed paid')
    this.#codes(before, state, body)
    this.#body(before, ledger, body, result)
  }

  #codes(before: Before, { codes }: LedgerState, body: CommandBody): void {
    for (const [id, { state }] of codes) {
      const was = before.codes.get(id)
      if (was === state || (was === undefined && state === 'pending')) continue
      if (state === 'active') this.note('code started')
      else if (state === 'ended' && body.type === 'tick') this.note('code ended')
    }
  }

  #body(before: Before, ledger: Ledger, body: CommandBody, result: Result): void {
    const { state } = ledger
    switch (body.type) {
      case 'tick':
        if (result.ok) this.#tick(before, ledger)
        return
      case 'borrow':
        this.#borrow(before, state, body, result)
        return
      case 'hello':
        if (!result.ok || !('incarnation' in result)) return
        if (before.incarnations.get(body.server) === result.incarnation) this.note('hello again')
        else this.note(result.relearn ? 'hello relearn' : 'hello fresh')
        if (waitingOf(state) < before.waiting) this.note('demand dropped')
        return
      case 'leave':
        if (result.ok) this.note('leave')
        return
      case 'return':
        this.note(result.ok ? 'return applied' : 'return refused')
        if (waitingOf(state) < before.waiting) this.note('demand met')
        return
      case 'lend':
        this.note(result.ok ? 'lend applied' : 'lend refused')
        if (waitingOf(state) < before.waiting) this.note('demand met')
        if (!result.ok && result.code === 'LICD_NO_DEMAND') this.note('demand gone at lend')
        return
      case 'demand':
        if (result.ok && body.count === 0) this.note('demand withdrawn')
        return
      default:
        if (result.ok && isDecision(body)) this.#decision(before, body)
    }
  }

  #decision(before: Before, body: Decision): void {
    switch (body.type) {
      case 'change-settings': {
        const { tickMs, leaseTicks } = body.settings
        if (tickMs > before.settings.tickMs) this.note('settings slower')
        if (tickMs < before.settings.tickMs) this.note('settings faster')
        if (leaseTicks !== before.settings.leaseTicks) this.note('lease ticks changed')
        return
      }
      case 'change-criteria':
        this.note('criteria changed')
        return
      case 'add-allocations':
        this.note('allocations added')
        return
      case 'remove-code':
        this.note('code removed')
        return
      case 'add-server':
        this.note('server added')
        return
      case 'set-role':
        if (before.roles.get(body.server) === body.role) return
        this.note(
          body.role === 'voter'
            ? 'server promoted'
            : body.role === 'learner'
              ? 'server demoted'
              : 'server removed',
        )
    }
  }

  #tick(before: Before, ledger: Ledger): void {
    const { state } = ledger
    this.note('tick')
    this.note(state.calendar > before.calendar ? 'calendar moved' : 'calendar held')
    for (const [name, was] of before.servers) {
      const is = ledger.serverState(name)
      if (!state.servers.has(name)) this.note('removed server forgotten')
      else if (was !== 'down' && is === 'down') this.note('server down')
      else if (was === 'up' && is === 'silent') this.note('server silent')
    }
    this.note('move forgotten', before.moves - state.moves.size)
    if (waitingOf(state) < before.waiting) this.note('demand met')
    else if (freeOf(state) < before.free && owedOf(state) === before.owed) this.note('top-up')
  }

  #borrow(
    before: Before,
    state: LedgerState,
    body: Extract<CommandBody, { type: 'borrow' }>,
    result: Result,
  ): void {
    const { cause, offer } = body
    const taken = result.ok && 'taken' in result ? result.taken : []
    for (const { source, count, server } of taken) {
      if (source === 'move') {
        if (count === 0) this.note('moved already here')
        else this.note(before.movedTo === undefined ? 'moved' : 'moved again')
        this.note('update: move')
        if (count > 0 && before.servers.get(server ?? '') === 'silent') {
          this.note('moved from a silent server')
        }
      } else this.note(`${cause}: ${source}`)
      if (source === 'offer') this.note('offer taken')
    }
    const hasOffer = (offer?.count ?? 0) > 0
    if (hasOffer && offer !== undefined) {
      const giver = state.servers.get(offer.server)
      if (giver?.incarnation !== offer.incarnation || giver.downAt <= state.tick) {
        this.note('offer void')
      }
    }
    if (body.move !== undefined && taken.length > 0 && !taken.some(t => t.source === 'move')) {
      this.note('spare instead of move')
    }
    if (result.ok) return
    if (result.code === 'LICD_NO_SOURCE') this.note(`${cause}: none`)
    if (result.queued !== undefined) this.note('demand queued')
    if (body.move !== undefined && result.code === 'LICD_NO_SOURCE') this.note('move refused')
  }

  addTo(sums: Record<string, number>): void {
    for (const [branch, count] of this.counts) sums[branch] = (sums[branch] ?? 0) + count
  }
}

const decisions = new Set([
  'change-settings',
  'change-criteria',
  'add-allocations',
  'remove-code',
  'add-server',
  'set-role',
])
type Decision = Extract<
  CommandBody,
  {
    type:
      | 'change-settings'
      | 'change-criteria'
      | 'add-allocations'
      | 'remove-code'
      | 'add-server'
      | 'set-role'
  }
>

function isDecision(body: CommandBody): body is Decision {
  return decisions.has(body.type)
}

function owedOf({ features }: LedgerState): number {
  let owed = 0
  for (const feature of features.values()) owed += feature.owed
  return owed
}

function freeOf({ features }: LedgerState): number {
  let free = 0
  for (const feature of features.values()) free += feature.free
  return free
}

function waitingOf({ features }: LedgerState): number {
  let waiting = 0
  for (const { demand } of features.values()) for (const { count } of demand) waiting += count
  return waiting
}

/** A table for people; what was taken too seldom is marked. */
export function coverageTable(sums: Readonly<Record<string, number>>, wanted: number): string {
  const lines: string[] = []
  for (const [rule, names] of Object.entries(branches)) {
    lines.push(rule)
    for (const name of names) {
      const count = sums[name] ?? 0
      const mark = count < wanted && !rare.has(name) ? '  <' : ''
      lines.push(`  ${name.padEnd(40)}${count.toLocaleString('en').padStart(12)}${mark}`)
    }
  }
  return lines.join('\n')
}
