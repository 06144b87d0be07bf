/**
 * The pool as an operator wants to see it: one server's ledger, with every server's own live figures in it.
 *
 * The distribution is the ledger's, the same everywhere up to how far a server has applied it; what is in use
 * at this moment only each server knows of itself. So one server is asked for the whole, and each server that is
 * up for its own column, all at once and for a short time: a server that does not answer shows the figure of its
 * last listing, and is named as stale.
 */
import type {
  CtlOperation,
  CtlRequests,
  FeatureStatus,
  Health,
  PoolStatus,
  SeatStatus,
  ServerStatus,
} from '../protocol/ctl.ts'
import type { Dark } from '../protocol/why.ts'
import type { Answered } from './answer.ts'
import type { CtlClient } from './ctl-client.ts'
import { readStatus } from './pages.ts'

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

/** What one server says: of itself alone where it is `own`. */
interface Word {
  readonly server: string
  readonly status: PoolStatus
  readonly own?: true
}

/**
 * Asks for the state of the pool; a server that looks has its `own` word. Of all features, of the one `of` names, or, with
 * `limit` 0, of none: servers of before tell of all nevertheless. Throws as `readStatus`.
 */
export async function viewPool(
  client: CtlClient,
  { own, of = {} }: { readonly own?: Word; readonly of?: FeaturesAsked } = {},
): Promise<PoolView> {
  const first: Word = own ?? (await readStatus(client, of))
  const words = new Map([[first.server, first]])
  const others = first.status.servers.filter(({ name }) => name !== first.server)
  await gather(
    others,
    server => readStatus(client, { ...of, own: true }, { server, timeoutMs: liveMs }),
    word => words.set(word.server, word),
  )
  const { server: answeredBy, status } = await wordOf(client, first, words, of)
  const byServer = new Map([...words].map(([server, word]) => [server, word.status]))
  return {
    status: merge(status, [...words.values()]),
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

/**
 * How a server is, for people. One whose `hello` was applied is listed by the next tick: until then the ledger calls it
 * silent, and so it does all servers of a pool that has just started.
 */
export function shownState(
  { state, incarnation, listedTicksAgo }: ServerStatus,
  tick: number,
): ServerStatus['state'] | 'starting' {
  const isListed = incarnation === 0 || listedTicksAgo < tick
  return state === 'silent' && !isListed ? 'starting' : state
}

type FeaturesAsked = Pick<CtlRequests['status'], 'feature' | 'limit'>

/** The whole word of the server to believe. */
async function wordOf(
  client: CtlClient,
  first: Word,
  words: Map<string, Word>,
  of: FeaturesAsked,
): Promise<Word> {
  const ticks = new Map([...words].map(([server, { status }]) => [server, status]))
  const server = client.server ?? freshest(first.server, ticks)
  const best = words.get(server) ?? first
  if (best.own === undefined) return best
  try {
    const word = await readStatus(client, of, { server })
    words.set(server, word)
    return word
  } catch {
    // Gone just now: what the first one knows is old, and still worth showing.
    return first
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
  await gather(servers, server => client.ask(operation, request, { server, timeoutMs }), heard)
}

async function gather<Answer>(
  servers: readonly { readonly name: string }[],
  ask: (server: string) => Promise<Answer>,
  heard: (answer: Answer) => void,
): Promise<void> {
  const hear = async (server: string): Promise<void> => {
    let answer: Answer
    try {
      answer = await ask(server)
    } catch {
      // Silent, gone a moment ago, or of an earlier version: whoever asked names it as one that did not answer.
      return
    }
    heard(answer)
  }
  await Promise.all(servers.map(({ name }) => hear(name)))
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

/** A server's own figures by feature. */
type Column = Word & { readonly byName: ReadonlyMap<string, FeatureStatus> }

function merge(status: PoolStatus, words: readonly Word[]): PoolStatus {
  const columns = new Map<string, Column>()
  for (const word of words) {
    const byName = new Map(word.status.features.map(feature => [feature.name, feature]))
    columns.set(word.server, { ...word, byName })
  }
  const features = status.features.map(feature => ({
    ...feature,
    shares: feature.shares.map(share => {
      const column = columns.get(share.server)
      const own = column?.byName.get(feature.name)
      const live = own?.shares.find(({ server }) => server === share.server)
      if (live !== undefined) return { ...share, inUse: live.inUse }
      if (column?.own === true) return { ...share, inUse: 0 }
      // An old figure may count seats that have moved on since, each with its allocation (R6): more than it owns
      // a server cannot have in use.
      return { ...share, inUse: Math.min(share.inUse, share.share) }
    }),
    ...(feature.dark === undefined ? {} : { dark: mergeDark(feature.name, feature.dark, columns) }),
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
  columns: ReadonlyMap<string, Column>,
): Dark[] {
  const merged = rows.filter(({ server, kind }) => {
    if (server === undefined || (kind !== 'silent' && kind !== 'down')) return false
    return (columns.get(server)?.status.leaseLeftMs ?? 0) === 0
  })
  for (const [server, { byName }] of columns) {
    const own = byName.get(feature)?.dark ?? []
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
      ? (await client.ask('status', { limit: 0 })).status.servers
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
