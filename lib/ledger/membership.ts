/**
 * Who belongs to the pool: servers taken in, made voters or learners, and removed (R3).
 *
 * The ledger holds what operators decided; the leader brings Raft's configuration to it, one safe step after the
 * other, and whoever leads next goes on. So a decision is one entry, taken once (I4), and a change that stops
 * half way is finished by whoever comes.
 *
 * Invariant: a server that is removed keeps its share until it is down; then the share goes to the free pool and
 * the server is forgotten, but for its incarnations: no later server of that name has one of them again.
 */
import { bounds } from './command.ts'
import type { CommandBody } from './command.ts'
import { tooMany } from './code.ts'
import { shareOf } from './feature.ts'
import { done, isTime, isWhole, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { dropDemand, isServerName, newServer, seatsOverAt } from './server.ts'
import { settle, standingOf } from './settle.ts'
import { moveRow } from './snapshot.ts'
import type { LedgerState, ServerRecord } from './state.ts'

export function applyAddServer(
  context: Context,
  { server, role }: Extract<CommandBody, { type: 'add-server' }>,
): Outcome {
  const { state, changes } = context
  if (!isServerName(server)) return refuse('LICD_BAD_REQUEST', '`server` is no server name.')
  const record = state.servers.get(server)
  if (record !== undefined && record.role !== 'removed') return done
  if (record === undefined && state.servers.size >= bounds.servers) {
    return tooMany('servers', bounds.servers)
  }
  if (role === 'voter' && votersOf(state) >= bounds.voters) return tooManyVoters
  changes.server(server)
  if (record === undefined)
    state.servers.set(server, newServer(server, role, state.incarnationFloor))
  else record.role = role
  unsettleAll(context)
  return done
}

export function applySetRole(
  context: Context,
  { server, role }: Extract<CommandBody, { type: 'set-role' }>,
): Outcome {
  const { state, changes } = context
  const record = state.servers.get(server)
  if (record === undefined) return refuse('LICD_UNKNOWN_SERVER', `\`${server}\`.`)
  if (record.role === role) return done
  if (record.role === 'removed') return refuse('LICD_SERVER_REMOVED', `\`${server}\`.`)
  if (role === 'voter' && votersOf(state) >= bounds.voters) return tooManyVoters
  if (record.role === 'voter' && votersOf(state) === 1) return refuse('LICD_LAST_VOTER')
  changes.server(server)
  record.role = role
  if (role !== 'removed') return done
  dropDemand(context, server)
  unsettleAll(context)
  return done
}

const tooManyVoters: Refusal = refuse(
  'LICD_TOO_MANY',
  `At most ${String(bounds.voters)} servers vote; more make every change slower and no pool safer. Others may be learners.`,
)

function votersOf({ servers }: LedgerState): number {
  let voters = 0
  for (const { role } of servers.values()) if (role === 'voter') voters += 1
  return voters
}

/** Even targets are others now: the next tick looks at every feature. */
function unsettleAll({ state, changes }: Context): void {
  for (const name of state.features.keys()) changes.unsettled.add(name)
}

/** R3: what servers that were removed owned goes to the free pool once they are down. */
export function forgetRemoved(context: Context): void {
  const { state } = context
  for (const record of [...state.servers.values()]) {
    if (record.role === 'removed' && record.downAt <= state.tick) forget(context, record)
  }
}

function forget({ state, changes }: Context, { name, incarnation }: ServerRecord): void {
  for (const feature of state.features.values()) {
    const share = shareOf(feature, name)
    const isTargeted = feature.targets !== 'even' && feature.targets.has(name)
    if (share === 0 && !isTargeted && !feature.thresholds.has(name) && !feature.usage.has(name)) {
      continue
    }
    changes.distribution(feature.name)
    feature.shares.delete(name)
    feature.free += share
    if (feature.targets !== 'even') feature.targets.delete(name)
    feature.thresholds.delete(name)
    feature.usage.delete(name)
  }
  changes.server(name)
  state.servers.delete(name)
  state.incarnationFloor = Math.max(state.incarnationFloor, incarnation)
}

/**
 * A pool begins anew from what a snapshot or one survivor holds (R11). What the pool did afterwards is not known, but
 * this much is: nobody is listed any more, so every lease, and with it every seat, is over in the longest lease's
 * time. Until then nothing is served; tokens of before are refused by their MAC, under a key that is no more.
 */
export function applyRecover(
  context: Context,
  { servers, holdTicks, wallMs }: Extract<CommandBody, { type: 'recover' }>,
): Outcome {
  const { state, changes } = context
  const names = [...new Set(servers)].sort()
  if (names.length === 0 || !names.every(isServerName)) {
    return refuse('LICD_BAD_REQUEST', '`servers`.')
  }
  let heldUntil = Math.max(
    state.tick + state.settings.leaseTicks,
    state.tick + (isWhole(holdTicks) ? Math.min(holdTicks, 10_000_000) : 0),
    seatsOverAt(state),
    state.heldUntil,
  )
  for (const record of state.servers.values()) heldUntil = Math.max(heldUntil, record.downAt)
  state.heldUntil = heldUntil + 1
  for (const record of state.servers.values()) {
    changes.server(record.name)
    endRun(record)
    if (!names.includes(record.name)) record.role = 'removed'
    else if (record.role === 'removed') record.role = 'voter'
    dropDemand(context, record.name)
  }
  for (const name of names) {
    if (state.servers.has(name)) continue
    changes.server(name)
    state.servers.set(name, newServer(name, 'voter', state.incarnationFloor))
  }
  for (const move of state.moves.values()) changes.removed(moveRow(move))
  state.moves.clear()
  // It begins with a key of its own, which no token of before was made with.
  state.tokenKeys = undefined
  const standing = standingOf(state)
  for (const feature of [...state.features.values()]) {
    changes.distribution(feature.name)
    for (const usage of feature.usage.values()) usage.inUse = 0
    settle(context, feature, { standing, topUp: false })
  }
  if (isTime(wallMs)) state.calendar = Math.max(state.calendar, Math.trunc(wallMs))
  return done
}

function endRun(record: ServerRecord): void {
  record.endedIncarnation = record.incarnation
  record.helloPending = false
  record.leaving = false
  record.relearnUntil = 0
  record.listedTick = 0
  record.downAt = 0
  delete record.keys
}
