/**
 * The pool's first entry, its level, and its three settings.
 *
 * A change of settings rules for new listings and tokens only (R2). What was promised under the old ones is a span
 * of time, or of ticks, that must not get shorter: where ticks get faster, the spans that count in ticks get longer.
 */
import { bounds, levelMax } from './command.ts'
import type { CommandBody, Settings } from './command.ts'
import { refuseLimits, tooMany } from './code.ts'
import { putMove } from './move.ts'
import { done, isTime, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { isServerName, newServer } from './server.ts'
import { stretchKeys } from './token-key.ts'
import { isVendor, putVendor } from './vendor.ts'

type Genesis = Extract<CommandBody, { type: 'genesis' }>

/** The first command of a pool, and never another one. */
export function applyGenesis(context: Context, body: Genesis): Outcome {
  const { state, changes } = context
  if (state.pool !== '') return refuse('LICD_ALREADY_INITIALISED')
  const refusal = refuseGenesis(body)
  if (refusal !== undefined) return refusal
  state.pool = body.pool
  state.fingerprint = body.fingerprint
  state.level = body.level ?? 1
  state.settings = copySettings(body.settings)
  state.calendar = Math.trunc(body.wallMs)
  for (const name of [...body.servers].sort()) {
    changes.server(name)
    state.servers.set(name, newServer(name, 'voter', 0))
  }
  for (const vendor of body.vendors) putVendor(context, vendor)
  return done
}

function refuseGenesis(genesis: Genesis): Refusal | undefined {
  const { pool, settings, servers, vendors, wallMs, level = 1 } = genesis
  if (!isWithin(level, 1, levelMax)) return refuse('LICD_BAD_CONFIG', '`level`.')
  if (pool.length < 1 || pool.length > 64) return refuse('LICD_BAD_CONFIG', '`pool`.')
  if (!isTime(wallMs)) return refuse('LICD_BAD_CONFIG', '`wallMs`.')
  if (servers.length > bounds.servers) return tooMany('servers', bounds.servers)
  if (servers.length === 0 || !servers.every(isServerName)) {
    return refuse('LICD_BAD_CONFIG', '`servers`.')
  }
  if (new Set(servers).size < servers.length) return refuse('LICD_DUPLICATE_SERVER')
  if (vendors.length > bounds.vendors) return tooMany('vendors', bounds.vendors)
  if (!vendors.every(isVendor) || new Set(vendors.map(({ kid }) => kid)).size < vendors.length) {
    return refuse('LICD_BAD_CONFIG', '`vendors`.')
  }
  return refuseSettings(settings)
}

function refuseSettings({ tickMs, leaseTicks, seatTicks }: Settings): Refusal | undefined {
  if (!isWithin(tickMs, 20, 60_000)) return refuse('LICD_BAD_CONFIG', '`tickMs`: 20 to 60000.')
  if (!isWithin(leaseTicks, 3, 1_000_000)) {
    return refuse('LICD_BAD_CONFIG', '`leaseTicks`: 3 to 1000000.')
  }
  if (!isWithin(seatTicks, 2, leaseTicks)) {
    return refuse('LICD_BAD_CONFIG', '`seatTicks`: 2 to `leaseTicks`.')
  }
  return undefined
}

function isWithin(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max
}

function copySettings({ tickMs, leaseTicks, seatTicks }: Settings): Settings {
  return Object.freeze({ tickMs, leaseTicks, seatTicks })
}

/** The pool goes by newer rules. Whoever asks has seen that every server knows them. */
export function applySetLevel(
  { state }: Context,
  { level }: Extract<CommandBody, { type: 'set-level' }>,
): Outcome {
  if (!isWithin(level, 1, levelMax)) {
    return refuse('LICD_BAD_CONFIG', `\`level\`: 1 to ${String(levelMax)}.`)
  }
  if (level < state.level) return refuse('LICD_LEVEL', 'A pool goes by no older rules.')
  // What is remembered by now ended at that tick at the latest.
  if (state.level < 3 && level >= 3) state.forgettableFrom = state.tick + bounds.deadlineTicks + 1
  state.level = level
  return done
}

/** Uncommitted ticks of a leader that has not applied a change of `tickMs` yet (R2). */
const hurriedTicks = 2

export function applyChangeSettings(
  context: Context,
  body: Extract<CommandBody, { type: 'change-settings' }>,
): Outcome {
  const { state } = context
  const refusal = refuseSettings(body.settings) ?? refuseByCodes(context, body.settings)
  if (refusal !== undefined) return refusal
  const before = state.settings
  const after = copySettings(body.settings)
  // A server that has not applied this yet may grant by the old settings until its lease, from a listing up to now,
  // ends; no seat outlives that (R4).
  if (after.seatTicks < before.seatTicks || after.tickMs < before.tickMs) {
    state.tokensUntil = Math.max(state.tokensUntil, state.tick + before.leaseTicks)
  }
  // The leader may have proposed two more ticks at the old pace: what is granted meanwhile by the new one lasts longer.
  if (after.tickMs > before.tickMs) {
    state.tokensUntil = Math.max(state.tokensUntil, state.tick + after.seatTicks + hurriedTicks)
  }
  state.promisedMs = Math.max(state.promisedMs, (before.leaseTicks + 1) * before.tickMs)
  if (after.tickMs < before.tickMs) stretch(context, before.tickMs, after.tickMs)
  state.settings = after
  return done
}

/** Leases and seats are clipped to what codes allow; ticks so far apart that nothing could be granted are refused. */
function refuseByCodes({ codeIndex }: Context, settings: Settings): Refusal | undefined {
  for (const { content } of codeIndex.all()) {
    const refusal = content.limits && refuseLimits(content.limits, settings)
    if (refusal !== undefined)
      return refuse(refusal.code, `Code ${content.codeId}: ${refusal.detail ?? ''}`)
  }
  return undefined
}

/**
 * Ticks get faster: what lies ahead moves as many times further away, and one tick more, but no further than the
 * longest promise reaches. Without that bound a share would be dark ten times as long each time that an operator
 * sets `tickMs` from 1 s to 10 s and back.
 */
function stretch(context: Context, beforeMs: number, afterMs: number): void {
  const { state, changes } = context
  const { tick, promisedMs } = state
  const most = tick + Math.ceil(promisedMs / afterMs) + 1 + hurriedTicks
  const stretched = (at: number): number =>
    at <= tick ? at : tick + Math.ceil(((at - tick) * beforeMs) / afterMs) + 1
  const later = (at: number): number => Math.max(at, Math.min(stretched(at), most))
  // How long an operator had the pool held for may be longer than any lease it knows of.
  state.heldUntil = stretched(state.heldUntil)
  state.tokensUntil = later(state.tokensUntil)
  stretchKeys(state, later)
  for (const record of state.servers.values()) {
    changes.server(record.name)
    record.downAt = later(record.downAt)
    record.relearnUntil = later(record.relearnUntil)
  }
  for (const move of [...state.moves.values()]) {
    putMove(context, Object.freeze({ ...move, until: later(move.until) }))
  }
}
