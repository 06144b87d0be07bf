/**
 * Figures per feature: what this server owns, uses and denied, and what the pool has, as applied here.
 */
import type { DarkKind } from '../protocol/why.ts'
import type { Feature } from '../ledger/state.ts'
import { darkOf } from '../server/dark.ts'
import type { Viewer } from '../server/status.ts'
import type { Sheet } from './sheet.ts'
import type { Watched } from './watched.ts'

/** Features looked at before others may use the loop: well below a millisecond of work. */
const perTurn = 128
const granted = 'Seats granted here.'

export async function readPoolFigures(sheet: Sheet, watched: Watched): Promise<void> {
  const viewer = watched.viewer()
  const { state } = viewer.ledger
  const { gauge } = sheet
  gauge('licd_pool_features', 'Features of the pool.', state.features.size)
  gauge('licd_pool_revision', 'Changes of the distribution applied here.', state.revision)
  const held = Math.max(0, state.heldUntil - state.tick)
  gauge('licd_pool_held_ticks', 'Ticks until a restored or recovered pool serves.', held)
  const states = { up: 0, silent: 0, down: 0 }
  for (const name of state.servers.keys()) states[viewer.ledger.serverState(name)]++
  for (const [name, servers] of Object.entries(states)) {
    gauge('licd_pool_servers', 'Servers by what the ledger calls them.', servers, { state: name })
  }
  readTallies(sheet, watched)
  let looked = 0
  for (const feature of [...state.features.values()]) {
    if (++looked % perTurn === 0) await new Promise(resolve => setImmediate(resolve))
    readOwn(sheet, watched, feature)
    readPool(sheet, viewer, feature)
  }
}

function readTallies({ count, label }: Sheet, { service }: Watched): void {
  for (const [name, tally] of service.report.tallies) {
    const feature = label(name)
    // The empty name stands for features that the pool does not have: nothing of them is granted.
    if (name !== '') count('licd_grants_total', granted, tally.granted, { feature })
    for (const [reason, times] of tally.denied) {
      const help = 'Requests and renewals denied here, by the code that clients got.'
      count('licd_denials_total', help, times, { feature, reason })
    }
  }
}

function readOwn(
  { gauge, count, label }: Sheet,
  { service, ledger, server }: Watched,
  of: Feature,
): void {
  const feature = label(of.name)
  const { share, limit, inUse, waiting } = service.report.standing(of.name)
  const target = ledger.target(of, server)
  const row = (name: string, help: string, value: number): void =>
    gauge(name, help, value, { feature })
  row('licd_share_allocations', 'Allocations that this server owns.', share)
  row('licd_limit_allocations', 'Allocations that may be in use here now.', limit)
  row('licd_in_use_allocations', 'Allocations in use here, dark seats included.', inUse)
  row('licd_target_allocations', 'What this server is to own, by the criteria.', target)
  row(
    'licd_borrowed_allocations',
    'Allocations owned beyond the target: they flow back when idle.',
    Math.max(0, share - target),
  )
  // There from the start, so that the first one is seen as an increase.
  count('licd_grants_total', granted, 0, { feature })
  row('licd_waiting_seats', 'Seats asked for by requests that wait here.', waiting)
}

function readPool({ gauge, label }: Sheet, viewer: Viewer, of: Feature): void {
  const feature = label(of.name)
  const row = (name: string, help: string, value: number): void =>
    gauge(name, help, value, { feature })
  const demand = of.demand.reduce((sum, { count }) => sum + count, 0)
  row('licd_pool_allocations', 'Allocations that the pool has.', of.allocations)
  row('licd_pool_free_allocations', 'Allocations that no server owns.', of.free)
  row('licd_pool_owed_allocations', 'Allocations that ended while they were owned.', of.owed)
  row('licd_pool_demand_seats', 'Seats that servers wait for in the queue of the pool.', demand)
  let inUse = viewer.inUse(of.name)
  for (const [server, usage] of of.usage) {
    if (server !== viewer.server) inUse += Math.min(usage.inUse, of.shares.get(server) ?? 0)
  }
  row('licd_pool_in_use_allocations', 'Allocations in use, as of the last keepalives.', inUse)
  const kinds = new Map<DarkKind, number>()
  for (const { kind, count } of darkOf(viewer, of)) kinds.set(kind, (kinds.get(kind) ?? 0) + count)
  for (const [kind, count] of kinds) {
    if (kind === 'owed') continue
    const isOwn = kind === 'expired' || kind === 'moved' || kind === 'relearning'
    const name = isOwn ? 'licd_dark_allocations' : 'licd_pool_dark_allocations'
    const help = isOwn
      ? 'Seats here that may not be granted yet, by why.'
      : 'Allocations that may not be granted now, by why, as known here.'
    gauge(name, help, count, { feature, kind })
  }
  if (of.endsAt !== undefined && feature === of.name) {
    const help = 'When a license code of the feature ends next, seconds since 1970.'
    gauge('licd_pool_feature_end_timestamp_seconds', help, of.endsAt / 1_000, { feature })
  }
}
