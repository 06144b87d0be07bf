/**
 * The pool as an operator wants to see it: one server's ledger, with every server's own live figures in it.
 *
 * The distribution is the ledger's, the same everywhere up to how far a server has applied it; what is in use
 * at this moment only each server knows of itself. So one server is asked for the whole, and each server that is
 * up for its own column, all at once and for a short time: a server that does not answer shows the figure of its
 * last listing, and is named as stale.
 */
import type { CtlOperation, CtlRequests, Health, PoolStatus, SeatStatus } from '../protocol/ctl.ts'
import type { Dark } from '../protocol/why.ts'
import type { Answered } from './answer.ts'
import type { CtlClient } from './ctl-client.ts'

/** How long each server may take for its own figures. */
const liveMs = 700
const pageSize = 500

export interface PoolView {
  /** As the answering server sees it, with `inUse` replaced by the owners' own figures. */
  readonly status: PoolStatus
  readonly answeredBy: string
  /** Servers whose own word this is. */
  readonly live: readonly string[]
  /** Per server that answered: how long it may still grant, and how old its word of the pool is. */
  readonly lease: Readonly<Record<string, { leaseLeftMs: number; tickAgeMs: number }>>
  /** Per server that answered: how it is. */
  readonly healthOf: Readonly<Record<string, Health>>
  /** Per server that answered: the newest rules that it knows. */
  readonly levelOf: Readonly<Record<string, number>>
  /** Per server that answered and has one: where its page is. */
  readonly httpOf: Readonly<Record<string, string>>
}

/** Asks for the state of the pool; a server that looks has its `own` word. Throws as `CtlClient.ask`. */
export async function viewPool(
  client: CtlClient,
  own?: { readonly server: string; readonly status: PoolStatus },
): Promise<PoolView> {
  const first = own ?? (await client.ask('status', {}))
  const byServer = new Map<string, PoolStatus>([[first.server, first.status]])
  const others = first.status.servers.filter(({ name }) => name !== first.server)
  await scatter(client, 'status', {}, others, ({ server, status }) => byServer.set(server, status))
  const answeredBy = client.server ?? freshest(first.server, byServer)
  const status = byServer.get(answeredBy) ?? first.status
  return {
    status: merge(status, byServer),
    answeredBy,
    live: [...byServer.keys()].sort(),
    lease: Object.fromEntries(
      [...byServer].map(([name, { leaseLeftMs, tickAgeMs }]) => [name, { leaseLeftMs, tickAgeMs }]),
    ),
    healthOf: Object.fromEntries(
      [...byServer].flatMap(([name, { health }]) => (health === undefined ? [] : [[name, health]])),
    ),
    levelOf: Object.fromEntries([...byServer].map(([name, { levelMax = 1 }]) => [name, levelMax])),
    httpOf: Object.fromEntries(
      [...byServer].flatMap(([name, { http }]) => (http === undefined ? [] : [[name, http]])),
    ),
  }
}

/** Asks all of `servers` at once; calls `heard` for each that answers in time. Resolves when no more is to come. */
export async function scatter<Operation extends CtlOperation>(
  client: CtlClient,
  operation: Operation,
  request: CtlRequests[Operation],
  servers: readonly { readonly name: string }[],
  heard: (answer: Answered<Operation>) => void,
  timeoutMs = liveMs,
): Promise<void> {
  const ask = async (server: string): Promise<void> => {
    let answer: Answered<Operation>
    try {
      answer = await client.ask(operation, request, { server, timeoutMs })
    } catch {
      // Silent, gone a moment ago, or of an earlier version: whoever asked names it as one that did not answer.
      return
    }
    heard(answer)
  }
  await Promise.all(servers.map(({ name }) => ask(name)))
}

/** Who is cut off from the others knows how the pool was: one that hears ticks is believed rather, the first else. */
export function freshest(
  first: string,
  byServer: ReadonlyMap<string, Pick<PoolStatus, 'tickAgeMs' | 'tick'>>,
): string {
  const tick = (server: string) => byServer.get(server)?.tick ?? 0
  let best = first
  for (const server of byServer.keys()) {
    // A tick or two is what they differ by anyway.
    if (tick(server) > tick(best) + 3) best = server
  }
  return best
}

function merge(status: PoolStatus, byServer: ReadonlyMap<string, PoolStatus>): PoolStatus {
  const features = status.features.map(feature => ({
    ...feature,
    shares: feature.shares.map(share => {
      const own = byServer.get(share.server)?.features.find(({ name }) => name === feature.name)
      const live = own?.shares.find(({ server }) => server === share.server)
      if (live !== undefined) return { ...share, inUse: live.inUse }
      // An old figure may count seats that have moved on since, each with its allocation (R6): more than it owns
      // a server cannot have in use.
      return { ...share, inUse: Math.min(share.inUse, share.share) }
    }),
    ...(feature.dark === undefined
      ? {}
      : { dark: mergeDark(feature.name, feature.dark, byServer) }),
  }))
  return { ...status, features }
}

/**
 * Each server's word of its own dark seats. One that answers and may grant is not dark, though the others do not
 * hear it: it grants from its share.
 */
function mergeDark(
  feature: string,
  rows: readonly Dark[],
  byServer: ReadonlyMap<string, PoolStatus>,
): Dark[] {
  const merged = rows.filter(({ server, kind }) => {
    if (server === undefined || (kind !== 'silent' && kind !== 'down')) return false
    return (byServer.get(server)?.leaseLeftMs ?? 0) === 0
  })
  for (const [server, status] of byServer) {
    const own = status.features.find(({ name }) => name === feature)?.dark ?? []
    merged.push(...own.filter(row => row.server === server))
  }
  merged.sort((a, b) => ((a.server ?? '') < (b.server ?? '') ? -1 : 1))
  return [...merged, ...rows.filter(({ server }) => server === undefined)]
}

export interface ServerSeat extends SeatStatus {
  readonly server: string
}

export interface SeatList {
  readonly seats: readonly ServerSeat[]
  /** Servers that are not down but did not answer: their seats are missing here. */
  readonly unanswered: readonly string[]
  /** More seats exist than `max`. */
  readonly more: boolean
}

/** The seats of one server, or of all that are not down, page by page, at most `max` in all. */
export async function listSeats(
  client: CtlClient,
  options: { readonly server?: string; readonly feature?: string; readonly max: number },
): Promise<SeatList> {
  const servers =
    options.server === undefined
      ? (await client.ask('status', {})).status.servers
          .filter(({ state }) => state !== 'down')
          .map(({ name }) => name)
      : [options.server]
  const seats: ServerSeat[] = []
  const unanswered: string[] = []
  let more = false
  for (const server of servers) {
    try {
      more = (await readPages(client, { ...options, server }, seats)) || more
    } catch (error) {
      // Asked for by name, its silence is the answer; among all, the others' seats are still worth showing.
      if (options.server !== undefined) throw error
      unanswered.push(server)
    }
  }
  return { seats, unanswered, more }
}

/** Adds one server's seats; true when `max` cut them short. */
async function readPages(
  client: CtlClient,
  {
    server,
    feature,
    max,
  }: { readonly server: string; readonly feature?: string; readonly max: number },
  seats: ServerSeat[],
): Promise<boolean> {
  let after: string | undefined
  for (;;) {
    if (seats.length >= max) return true
    const page = await client.ask(
      'seats',
      {
        ...(feature === undefined ? {} : { feature }),
        ...(after === undefined ? {} : { after }),
        limit: Math.min(pageSize, max - seats.length),
      },
      { server },
    )
    seats.push(...page.seats.map(seat => ({ server, ...seat })))
    // A page that does not move on would be asked for without end.
    if (page.next === undefined || page.next === after) return false
    after = page.next
  }
}
