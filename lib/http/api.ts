/**
 * The API of a server for reading: the page's every fact comes from here (docs/http.md).
 *
 * Client ids are left out everywhere: they are secrets of their bearers.
 */
import { searchSeats } from '../ctl/seat-search.ts'
import { verdictOf } from '../ctl/verdict.ts'
import { viewWhy } from '../ctl/why.ts'
import { LicdError } from '../error.ts'
import { readSeatQuery } from '../server/ctl-request.ts'
import { poolHead } from '../server/status.ts'
import { whyOf } from '../server/why.ts'
import { auditOf } from './audit-query.ts'
import { failure, json, type HttpAnswer, type HttpRequest, type Stream } from './listener.ts'
import type { Live } from './live.ts'
import type { Pace } from './pace.ts'
import { checkWhole, pageOf, pagesMs, readPoolQuery, type PoolPage } from './pool-page.ts'
import { usageOf } from './usage-query.ts'
import type { Watched } from './watched.ts'

const pageMax = 200

export interface Api {
  readonly watched: Watched
  readonly live: Live
  readonly pace: Pace
}

/** `undefined` where there is no such address. */
export async function answerApi(
  api: Api,
  request: HttpRequest,
): Promise<HttpAnswer | Stream | undefined> {
  switch (request.path) {
    case '/api/pool':
      return json({ ...(await poolPage(api, request)), ...newsAfter(api, request) })
    case '/api/events':
      return api.live.watch() ?? failure(503, 'LICD_TOO_BUSY', 'As many look on here as may.')
    case '/api/seats':
      return json(await api.pace.take(() => findSeats(api, request)))
    case '/api/why':
      return json(await api.pace.take(() => askWhy(api, request)))
    case '/api/usage':
      return json(await api.pace.take(() => askUsage(api, request)))
    case '/api/audit':
      return json(await api.pace.take(() => askAudit(api, request)))
    default:
      return undefined
  }
}

/** What follows a first page is of the same moment, where it is asked for soon. */
async function poolPage({ live, watched }: Api, { query }: HttpRequest): Promise<PoolPage> {
  const asked = readPoolQuery(query)
  const { features, servers } = watched.ledger.state
  checkWhole(asked, { features: features.size, servers: servers.size })
  return pageOf(await live.report(asked.from === '' ? undefined : pagesMs), asked)
}

function newsAfter({ live }: Api, { query }: HttpRequest): object {
  const after = Number(query.get('after') ?? 0)
  return live.news(Number.isSafeInteger(after) ? after : 0)
}

async function findSeats({ watched, live }: Api, { query }: HttpRequest): Promise<object> {
  const limit = query.get('limit')
  const read = readSeatQuery({
    ...textsOf(query, ['feature', 'search', 'after']),
    limit: limit === null ? pageMax : Number(limit),
  })
  if (!read.ok) throw new LicdError(read.code, read.detail)
  const own = {
    server: watched.server,
    servers: poolHead(watched.viewer()).servers,
    page: watched.service.seats(read.value),
  }
  const { seats, ...found } = await searchSeats(live.client, read.value, own)
  return { seats: seats.map(({ clientId: _secret, ...seat }) => seat), ...found }
}

async function askWhy({ watched, live }: Api, { query }: HttpRequest): Promise<object> {
  const fields = textsOf(query, ['feature', 'user'])
  const { feature, user } = fields
  const viewer = watched.viewer()
  const why = whyOf(viewer, watched.service.report, fields)
  if (!why.ok) throw new LicdError(why.code, why.detail)
  const view = await viewWhy(
    live.client,
    { feature: feature ?? '', ...(user === undefined ? {} : { user }) },
    {
      server: watched.server,
      status: poolHead(viewer),
      why: why.value,
      features: () => [...viewer.ledger.state.features.keys()].sort(),
    },
  )
  return { ...view, verdict: verdictOf(view) }
}

/** This server's own ledger answers: all servers have the same history and the same log. */
function askUsage({ watched }: Api, { query }: HttpRequest): object {
  const found = usageOf(watched.ledger.state, textsOf(query, ['feature', 'unit', 'from', 'to']))
  if (!found.ok) throw new LicdError(found.code, found.detail)
  return found.value
}

function askAudit({ watched }: Api, { query }: HttpRequest): object {
  const found = auditOf(watched.ledger.state, {
    ...textsOf(query, ['search', 'by', 'action', 'result']),
    ...numbersOf(query, ['before', 'limit']),
  })
  if (!found.ok) throw new LicdError(found.code, found.detail)
  return found.value
}

function numbersOf(query: URLSearchParams, names: readonly string[]): Record<string, number> {
  const numbers: Record<string, number> = {}
  for (const name of names) {
    const text = query.get(name)
    if (text !== null && text !== '') numbers[name] = Number(text)
  }
  return numbers
}

function textsOf<Name extends string>(
  query: URLSearchParams,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const texts: Partial<Record<Name, string>> = {}
  for (const name of names) {
    const text = query.get(name)
    if (text !== null && text !== '') texts[name] = text
  }
  return texts
}
