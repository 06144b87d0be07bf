/**
 * Which MAC key tokens are made with, and which others are still heard: by their ids, for no secret stands in the log.
 *
 * Servers say which keys they hold; an operator's command switches all of them at one entry, and is refused unless
 * every server of the pool holds the new key. A server that lags goes on making tokens with the old one, but learns of
 * no later listing before the switch: so all it granted is over when its `downAt` of now has come (R3, R4), and
 * the old key is heard until that tick of the slowest, then never again.
 */
import { bounds } from './command.ts'
import type { CommandBody } from './command.ts'
import { belowLevel, tooMany } from './code.ts'
import { done, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { findCaller, seatsOverAt } from './server.ts'
import type { LedgerState } from './state.ts'

/** What the id of a key looks like. */
const kidPattern = /^[A-Za-z0-9_-]{1,64}$/

export function applyHoldKeys(
  { state, changes }: Context,
  { server, incarnation, kids }: Extract<CommandBody, { type: 'hold-keys' }>,
): Outcome {
  if (state.level < 2) return belowLevel(2)
  if (kids.length > bounds.heldKeys) return tooMany('keys of a server', bounds.heldKeys)
  if (!kids.every(isKid)) return badKid
  const record = findCaller(state, server, incarnation)
  if ('code' in record) return record
  changes.server(server)
  record.keys = Object.freeze([...kids])
  return done
}

/**
 * The switch. `before` is what tokens were made with as far as the one who asks knows: two operators who rotate at
 * once do not undo each other's switch, and the first switch of a pool learns its first key by it.
 */
export function applyUseKey(
  { state }: Context,
  { kid, before }: Extract<CommandBody, { type: 'use-key' }>,
): Outcome {
  if (state.level < 2) return belowLevel(2)
  if (!isKid(kid) || !isKid(before)) return badKid
  const known = state.tokenKeys
  if (kid === (known?.current ?? before)) return done
  if (
    known?.retired.includes(kid) === true ||
    known?.before.some(old => old.kid === kid) === true
  ) {
    return refuse('LICD_KEY_RETIRED', `Key ${kid}.`)
  }
  if (known !== undefined && known.current !== before) {
    return refuse('LICD_KEY_CHANGED', `Tokens are made with key ${known.current}, not ${before}.`)
  }
  const refusal = refuseMissing(state, kid) ?? refuseMissing(state, before)
  if (refusal !== undefined) return refusal
  if (known?.before.length === bounds.oldKeys) return tooMany('keys still heard', bounds.oldKeys)
  state.tokenKeys = Object.freeze({
    current: kid,
    since: state.tick,
    before: Object.freeze([
      ...(known?.before ?? []),
      Object.freeze({ kid: before, until: overAt(state) }),
    ]),
    retired: known?.retired ?? Object.freeze([]),
  })
  return done
}

function isKid(kid: string): boolean {
  return kidPattern.test(kid)
}

const badKid = refuse('LICD_BAD_REQUEST', '`kid` is no id of a key.')

/** A server that has not said that it holds the key, or that has started anew since. */
function refuseMissing({ servers }: LedgerState, kid: string): Refusal | undefined {
  const without = [...servers.values()]
    .filter(({ role, keys }) => role !== 'removed' && keys?.includes(kid) !== true)
    .map(({ name }) => name)
    .sort()
  if (without.length === 0) return undefined
  return refuse('LICD_KEY_MISSING', `Key ${kid} is not known to be at ${without.join(', ')}.`)
}

/** First tick at which nothing made up to now, here or at a server that lags, is good for anything. */
function overAt(state: LedgerState): number {
  let at = seatsOverAt(state)
  for (const { downAt } of state.servers.values()) at = Math.max(at, downAt)
  return at + 1
}

/** At each tick: keys whose time is over are heard no more. */
export function forgetKeys({ state }: Context): void {
  const { tokenKeys: known, tick } = state
  if (known === undefined || known.before.every(({ until }) => until > tick)) return
  const over = known.before.filter(({ until }) => until <= tick).map(({ kid }) => kid)
  state.tokenKeys = Object.freeze({
    ...known,
    before: Object.freeze(known.before.filter(({ until }) => until > tick)),
    retired: Object.freeze([...known.retired, ...over].slice(-bounds.retiredKeys)),
  })
}

/** Ticks get faster: what was promised in ticks takes more of them (see `stretch` in settings.ts). */
export function stretchKeys(state: LedgerState, later: (at: number) => number): void {
  if (state.tokenKeys === undefined) return
  const before = state.tokenKeys.before.map(({ kid, until }) =>
    Object.freeze({ kid, until: later(until) }),
  )
  state.tokenKeys = Object.freeze({ ...state.tokenKeys, before: Object.freeze(before) })
}
