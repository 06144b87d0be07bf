/**
 * Keys of tokens, operators that are revoked, notes, levels and roles, by figures that anybody may draw, and what must be true of
 * them after every command. It keeps a memory of its own: who said to hold what, which keys were ever in use.
 */
import { strict as assert } from 'node:assert'
import type { Command, CommandBody } from '../../lib/ledger/command.ts'
import type { Applied } from '../../lib/ledger/ledger.ts'
import type { LedgerState } from '../../lib/ledger/state.ts'

const kids = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'] as const

/** An operator's public key; there are three. */
export function operatorKey(figure: number): string {
  return `U${'ABC'.charAt(figure % 3).repeat(55)}`
}

/** Kinds from here on are drawn here. */
export const keyKinds = { from: 100, to: 108 } as const

/** A command of these; `names` are the servers that there may be. */
export function keyBody(
  state: LedgerState,
  names: readonly string[],
  [kind, x, y, z, odd]: readonly [number, number, number, number, number],
): CommandBody {
  const server = names[x % names.length] ?? ''
  const kid = kids[y % kids.length] ?? 'k0'
  switch (kind) {
    case 100:
    case 101:
    case 102: {
      const run = (state.servers.get(server)?.incarnation ?? 0) - (odd === 1 ? 1 : 0)
      // Mostly all of them: a switch needs every server to hold both.
      const some = y % 3 === 0 ? kids.filter((_, at) => ((z >> at) & 1) === 1) : kids
      return {
        ...{ type: 'hold-keys', server, incarnation: run },
        kids: odd === 2 ? ['no id'] : some.slice(0, 4 + (z % 5)),
      }
    }
    case 103:
    case 104: {
      const before = z % 4 === 0 ? (kids[x % kids.length] ?? 'k0') : state.tokenKeys?.current
      return { type: 'use-key', kid: odd === 3 ? '' : kid, before: before ?? 'k0' }
    }
    case 105:
      return { type: 'revoke-operator', operator: odd === 3 ? 'U' : operatorKey(x) }
    case 106:
      return { type: 'note', action: 'snapshot-save', detail: kid }
    case 107:
      return { type: 'set-level', level: 1 + (x % 3) }
    default: {
      const role = (['voter', 'learner', 'removed'] as const)[y % 3] ?? 'voter'
      return { type: 'set-role', server, role }
    }
  }
}

/** The refusal's code, or `ok`. */
function outcomeOf({ result }: Applied): string {
  return result.ok ? 'ok' : result.code
}

export class KeyRules {
  /** Server -> what it said that it holds, in which run. */
  readonly #held = new Map<string, { readonly incarnation: number; readonly kids: Set<string> }>()
  readonly #everUsed = new Set<string>()
  readonly #revoked = new Set<string>()
  #current: string | undefined
  #audited = 0
  #level = 0

  check(state: LedgerState, command: Command, applied: Applied): void {
    if (!applied.duplicate) this.#did(state, command, applied)
    const { tokenKeys, revoked, servers, tick } = state
    this.#current = tokenKeys?.current
    for (const { kid, until } of tokenKeys?.before ?? []) {
      assert(until > tick, `${kid} is heard longer than said`)
      assert.notEqual(kid, tokenKeys?.current, 'a key is in use or of before')
    }
    for (const kid of tokenKeys?.retired ?? []) assert(this.#everUsed.has(kid), `${kid} retired`)
    assert.deepEqual(new Set(revoked), this.#revoked, 'revoked for good, and nobody else')
    // One that was removed and forgotten comes back as a server that has said nothing.
    for (const name of this.#held.keys()) if (!servers.has(name)) this.#held.delete(name)
    for (const { name, incarnation, keys } of servers.values()) {
      const held = this.#held.get(name)
      if (held?.incarnation === incarnation) assert.deepEqual(new Set(keys), held.kids, name)
      else assert.equal(keys, undefined, `${name} has said nothing in this run`)
    }
    assert(state.level >= this.#level, 'a level is never lower')
    this.#level = state.level
    this.#audited = state.audited
  }

  #did(state: LedgerState, { body, key }: Command, applied: Applied): void {
    const outcome = outcomeOf(applied)
    if (key !== undefined && this.#revoked.has(key)) {
      assert.notEqual(outcome, 'ok', 'a revoked operator changes nothing')
    }
    switch (body.type) {
      case 'hold-keys':
        if (outcome !== 'ok') return
        this.#held.set(body.server, { incarnation: body.incarnation, kids: new Set(body.kids) })
        return
      case 'use-key':
        return this.#used(state, body, outcome)
      case 'revoke-operator':
        if (outcome === 'ok') this.#revoked.add(body.operator)
        return
      case 'note':
        if (outcome === 'ok') assert.equal(state.audited, this.#audited + 1, 'a note is kept')
        return
      default:
    }
  }

  #used(
    state: LedgerState,
    { kid, before }: Extract<CommandBody, { type: 'use-key' }>,
    outcome: string,
  ): void {
    const members = [...state.servers.values()].filter(({ role }) => role !== 'removed')
    const lacks = (wanted: string): boolean =>
      members.some(({ name, incarnation }) => {
        const held = this.#held.get(name)
        return held?.incarnation !== incarnation || !held.kids.has(wanted)
      })
    if (outcome === 'LICD_KEY_MISSING') assert(lacks(kid) || lacks(before), 'all of them hold it')
    if (outcome === 'LICD_KEY_RETIRED') assert(this.#everUsed.has(kid), `${kid} was never in use`)
    const known = state.tokenKeys
    if (outcome !== 'ok' || known?.current === this.#current) return
    assert(known?.current === kid && !lacks(kid) && !lacks(before), 'every server holds both')
    assert(this.#current === undefined || this.#current === before, 'over what is in use')
    assert(!this.#everUsed.has(kid), `${kid} is in use once`)
    this.#everUsed.add(before)
    const until = known.before.find(old => old.kid === before)?.until ?? 0
    for (const { name, downAt } of state.servers.values()) {
      assert(until > downAt, `the old key is heard as long as ${name} may make tokens with it`)
    }
  }
}
