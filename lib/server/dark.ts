/**
 * A feature's dark allocations as a server sees them, and when each are back by the pool clock.
 *
 * Of its own seats it knows (R5, R6, R7); of the other servers it knows what the ledger says: a silent one may be
 * granting from its share until it is down (R3), and what a server that is down owned is lent to whoever asks.
 * While no tick comes, nobody can say when anything is back.
 */
import type { Ledger } from '../ledger/ledger.ts'
import type { Feature } from '../ledger/state.ts'
import type { Dark, DarkCount } from '../protocol/why.ts'

export interface DarkViewer {
  readonly server: string
  readonly ledger: Ledger
  /** Milliseconds since a tick was applied here. */
  readonly tickAgeMs: number
  /** Its own dark seats by feature. */
  readonly dark: ReadonlyMap<string, readonly DarkCount[]>
}

export function darkOf(viewer: DarkViewer, feature: Feature): Dark[] {
  const { ledger, server: own, dark } = viewer
  const { tick, heldUntil, servers } = ledger.state
  if (heldUntil > tick) {
    const { allocations: count } = feature
    return count === 0 ? [] : [{ kind: 'held', count, ...between(viewer, heldUntil, heldUntil) }]
  }
  const rows: Dark[] = (dark.get(feature.name) ?? []).map(
    ({ kind, count, firstTick, lastTick }) => ({
      ...{ server: own, kind, count },
      ...between(viewer, firstTick, lastTick),
    }),
  )
  for (const [server, count] of [...feature.shares].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const state = ledger.serverState(server)
    if (state === 'up' || server === own) continue
    const downAt = state === 'down' ? tick : (servers.get(server)?.downAt ?? tick)
    rows.push({ server, kind: state, count, ...between(viewer, downAt, downAt) })
  }
  if (feature.owed > 0) rows.push({ kind: 'owed', count: feature.owed })
  return rows
}

/** From now until the ticks named, or nothing while the pool clock stands. */
function between(
  { ledger, tickAgeMs }: DarkViewer,
  first: number,
  last: number,
): Pick<Dark, 'firstInMs' | 'lastInMs'> {
  const { tick, settings } = ledger.state
  if (tickAgeMs > 3 * settings.tickMs) return {}
  const until = (at: number) => Math.max(0, (at - tick) * settings.tickMs - tickAgeMs)
  return { firstInMs: until(first), lastInMs: until(last) }
}
