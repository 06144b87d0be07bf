/**
 * The servers of the pool as the ledger knows them: incarnations, and who is up, silent or down.
 *
 * A server is known by what ticks said of it (R2, R3), never by who asks: two servers that applied the same entries
 * agree on every state. Invariant: `endedIncarnation` is the current incarnation exactly when the server is
 * down, once it has had one.
 */
import type { CommandBody } from './command.ts'
import { done, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import type { LedgerState, ServerRecord, ServerRole, ServerState } from './state.ts'

const serverName = /^[A-Za-z0-9_-]{1,64}$/

/** No server is named `any`: the word stands for one in subjects. */
export function isServerName(name: string): boolean {
  return serverName.test(name) && name !== 'any'
}

/** `floor`: no incarnation of an earlier server of that name lies above it. */
export function newServer(name: string, role: ServerRole, floor: number): ServerRecord {
  return {
    name,
    role,
    incarnation: floor,
    bootId: '',
    endedIncarnation: floor,
    helloTick: 0,
    helloPending: false,
    leaving: false,
    relearnUntil: 0,
    listedTick: 0,
    listedNumber: 0,
    downAt: 0,
    wallMs: 0,
  }
}

/** True when one of the last `ticks` ticks listed the server's current incarnation. */
export function isListed(record: ServerRecord, tick: number, ticks: number): boolean {
  return !record.helloPending && record.listedTick > 0 && tick - record.listedTick < ticks
}

export function serverStateOf(record: ServerRecord, tick: number): ServerState {
  if (record.downAt <= tick) return 'down'
  return isListed(record, tick, 3) ? 'up' : 'silent'
}

/** The server that asks, when its incarnation is the current one and not over (R7); else why not. */
export function findCaller(
  state: LedgerState,
  server: string,
  incarnation: number,
): ServerRecord | Refusal {
  const record = state.servers.get(server)
  if (record === undefined) return refuse('LICD_UNKNOWN_SERVER')
  if (record.incarnation !== incarnation || record.downAt <= state.tick) {
    return refuse('LICD_PAST_INCARNATION')
  }
  return record
}

/** True when the server's run of that number is the present one and not over. */
export function isRunning(state: LedgerState, server: string, incarnation: number): boolean {
  const record = state.servers.get(server)
  return record?.incarnation === incarnation && record.downAt > state.tick
}

/** True when the server only gives: it stops cleanly, or was removed from the pool. */
export function onlyGives({ leaving, role }: ServerRecord): boolean {
  return leaving || role === 'removed'
}

/** True when the server is up and stays: then it may be given something unasked. */
export function mayReceive(record: ServerRecord, tick: number): boolean {
  return !onlyGives(record) && serverStateOf(record, tick) === 'up'
}

/** How many servers the pool is divided among: all but those that were removed. */
export function membersIn({ servers }: LedgerState): number {
  let members = 0
  for (const { role } of servers.values()) if (role !== 'removed') members += 1
  return members
}

/** The same of the run of that number. */
export function isUp(state: LedgerState, server: string, incarnation: number): boolean {
  const record = state.servers.get(server)
  return record?.incarnation === incarnation && mayReceive(record, state.tick)
}

/**
 * A starting server asks for its incarnation (R7).
 *
 * The same boot id gets the same answer, however often; when that run has gone down meanwhile it is refused,
 * since a run that is over is never listed again and needs a new boot id. A server that was down starts with
 * nothing to relearn: no seat of its earlier runs is alive (R4).
 */
export function applyHello(
  context: Context,
  { server, bootId }: Extract<CommandBody, { type: 'hello' }>,
): Outcome {
  const { state, changes } = context
  const record = state.servers.get(server)
  if (record === undefined) return refuse('LICD_UNKNOWN_SERVER')
  if (record.role === 'removed') return refuse('LICD_SERVER_REMOVED')
  // Whoever served now could grant what is in use by seats that this ledger knows nothing of (R11).
  if (state.tick < state.heldUntil) return refuse('LICD_POOL_HELD')
  if (bootId.length < 1 || bootId.length > 64) return refuse('LICD_BAD_REQUEST', '`bootId`.')
  const { incarnation, relearnUntil, downAt } = record
  const down = downAt <= state.tick
  if (incarnation > 0 && record.bootId === bootId) {
    if (down) return refuse('LICD_PAST_INCARNATION')
    return { ok: true, incarnation, relearn: relearnUntil > 0 }
  }
  const relearn = incarnation > 0 && !down
  changes.server(server)
  record.incarnation += 1
  record.bootId = bootId
  record.helloTick = state.tick
  record.helloPending = true
  record.leaving = false
  record.relearnUntil = relearn ? seatsOverAt(state) : 0
  record.listedTick = 0
  record.listedNumber = 0
  // The tick that follows lists it; until then it must not be taken for down.
  record.downAt = Math.max(downAt, state.tick + 1 + state.settings.leaseTicks + 1)
  // It may have come back from a backup, without a key that it held.
  delete record.keys
  dropDemand(context, server)
  return { ok: true, incarnation: record.incarnation, relearn }
}

/**
 * R7, a clean stop: from here on the server only gives. It waits for nothing, and no top-up, loan or borrow raises its
 * share, so that what it gives back does not return to it. Sticky until its next `hello`.
 */
export function applyLeave(
  context: Context,
  { server, incarnation }: Extract<CommandBody, { type: 'leave' }>,
): Outcome {
  const record = findCaller(context.state, server, incarnation)
  if ('code' in record) return record
  context.changes.server(server)
  record.leaving = true
  dropDemand(context, server)
  return done
}

/** First tick at which every seat granted up to now is over, and its tokens with it, unless renewed. */
export function seatsOverAt({ tick, settings, tokensUntil }: LedgerState): number {
  return Math.max(tick + settings.seatTicks, tokensUntil) + 1
}

/** A server that started anew or is down waits for nothing any more (R12). */
export function dropDemand({ state, changes }: Context, server: string): void {
  for (const feature of state.features.values()) {
    const at = feature.demand.findIndex(entry => entry.server === server)
    if (at < 0) continue
    changes.feature(feature.name)
    feature.demand.splice(at, 1)
  }
}
