/**
 * What a server answers in pages, read to the end and put together.
 *
 * All pages come from the server that answered the first one: another may have applied less. They are of different
 * moments, so what comes or goes meanwhile is there or not; everything but the list itself is as the first page has it.
 * Servers of before answer whole, in one page.
 */
import { LicdError } from '../error.ts'
import { bounds } from '../ledger/command.ts'
import { ctlBounds, type CtlRequests, type PageRequest } from '../protocol/ctl.ts'
import type { Answered } from './answer.ts'
import type { CtlClient } from './ctl-client.ts'

export interface AskOptions {
  readonly server?: string
  /** For each page, milliseconds. */
  readonly timeoutMs?: number
}

type Paged = 'status' | 'code-list' | 'vendor-list'

/**
 * The pool with all its features, or those that are asked for. `limit` 0: with none, where the server knows how.
 *
 * @throws LicdError as `CtlClient.ask`; LICD_BAD_VERSION for pages that do not move on
 */
export async function readStatus(
  client: CtlClient,
  request: CtlRequests['status'],
  options: AskOptions = {},
): Promise<Answered<'status'>> {
  const [first, ...rest] = await readPages(client, 'status', request, {
    ...options,
    most: bounds.features,
    count: page => page.status.features.length,
  })
  const { next: _next, ...answer } = first
  const features = [first, ...rest].flatMap(({ status }) => status.features)
  return { ...answer, status: { ...first.status, features } }
}

/** All license codes. Throws as `readStatus`. */
export async function readCodes(client: CtlClient): Promise<Answered<'code-list'>> {
  const [first, ...rest] = await readPages(
    client,
    'code-list',
    {},
    {
      most: bounds.codes,
      count: page => page.codes.length,
    },
  )
  const { next: _next, ...answer } = first
  return { ...answer, codes: [first, ...rest].flatMap(({ codes }) => codes) }
}

/** All vendors' keys. Throws as `readStatus`. */
export async function readVendors(client: CtlClient): Promise<Answered<'vendor-list'>> {
  const [first, ...rest] = await readPages(
    client,
    'vendor-list',
    {},
    {
      most: bounds.vendors,
      count: page => page.vendors.length,
    },
  )
  const { next: _next, ...answer } = first
  return { ...answer, vendors: [first, ...rest].flatMap(({ vendors }) => vendors) }
}

/** The first page, and those that follow it. */
async function readPages<Operation extends Paged>(
  client: CtlClient,
  operation: Operation,
  request: CtlRequests[Operation] & PageRequest,
  options: AskOptions & {
    /** What the list is bounded by in the ledger: a server that goes on beyond it is not believed. */
    readonly most: number
    readonly count: (page: Answered<Operation>) => number
  },
): Promise<[Answered<Operation>, ...Answered<Operation>[]]> {
  const { most, count, ...asking } = options
  const asked = { limit: ctlBounds.pageMax, ...request }
  const first = await client.ask(operation, asked, asking)
  const pages: [Answered<Operation>, ...Answered<Operation>[]] = [first]
  const { server } = first
  let after = ''
  let read = count(first)
  for (let { next } = first; next !== undefined;) {
    if (next <= after || read > most) {
      const detail = `${server} answers ${operation} in pages that do not end.`
      throw new LicdError('LICD_BAD_VERSION', detail)
    }
    after = next
    const page: Answered<Operation> = await client.ask(
      operation,
      { ...asked, after },
      { ...asking, server },
    )
    pages.push(page)
    read += count(page)
    next = page.next
  }
  return pages
}
