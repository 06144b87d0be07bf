/**
 * A page of the seats of all servers, in the order of their ids: each server has its own, and is asked for as many as
 * the page holds.
 */
import type { SeatStatus, ServerStatus } from '../protocol/ctl.ts'
import type { CtlClient } from './ctl-client.ts'
import { scatter, type ServerSeat } from './pool-view.ts'

export interface SeatSearch {
  readonly feature?: string
  /** Text in user, host, feature or seat id, whatever the case. */
  readonly search?: string
  /** The last seat of the page before. */
  readonly after?: string
  readonly limit: number
}

export interface FoundSeats {
  readonly seats: readonly ServerSeat[]
  readonly next?: string
  /** How many there are, on this page or not. */
  readonly total: number
  /** Servers that are not down but did not answer: their seats are missing here. */
  readonly unanswered: readonly string[]
}

interface Page {
  readonly seats: readonly SeatStatus[]
  readonly next?: string
  readonly total?: number
}

/** `own`: the server that looks has its own seats, and does not ask itself. */
export async function searchSeats(
  client: CtlClient,
  query: SeatSearch,
  own: {
    readonly server: string
    readonly servers: readonly ServerStatus[]
    readonly page: Page
  },
): Promise<FoundSeats> {
  const pages = new Map<string, Page>([[own.server, own.page]])
  const asked = own.servers.filter(({ name, state }) => name !== own.server && state !== 'down')
  await scatter(client, 'seats', query, asked, ({ server, ...page }) => pages.set(server, page))
  // A server may answer fewer than it was asked for: what it left out comes before others' later ones.
  const [end] = [...pages.values()].flatMap(({ next }) => (next === undefined ? [] : [next])).sort()
  const found = [...pages]
    .flatMap(([server, { seats }]) => seats.map(seat => ({ server, ...seat })))
    .filter(({ seatId }) => end === undefined || seatId <= end)
    .sort((a, b) => (a.seatId < b.seatId ? -1 : 1))
  const seats = found.slice(0, query.limit)
  const last = seats.at(-1)
  const isMore = found.length > seats.length || end !== undefined
  return {
    seats,
    ...(isMore && last !== undefined ? { next: last.seatId } : {}),
    total: [...pages.values()].reduce((sum, page) => sum + (page.total ?? page.seats.length), 0),
    unanswered: asked.filter(({ name }) => !pages.has(name)).map(({ name }) => name),
  }
}
