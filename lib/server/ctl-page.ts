/**
 * Lists that grow with the pool, a page at a time: what a broker takes in one message is far less than a pool may have.
 *
 * A page has at most as many rows as were asked for. What they come to in bytes only the wire can tell: an answer that is
 * larger than a message is made anew of fewer rows until it fits (`encodeFitting`).
 */
import { ctlBounds, type PageRequest } from '../protocol/ctl.ts'
import { isWhole, refuse, type Fields, type Read } from './ctl-request.ts'
import type { Answer } from './ctl-wire.ts'

/** Names are those of features, codes and keys: 256 characters at most. */
const nameMax = 256

/** What to list: all of it where no `limit` is given. */
export function readPage({ after = '', limit }: Fields): Read<Required<PageRequest>> {
  if (typeof after !== 'string' || after.length > nameMax) {
    return refuse('LICD_BAD_REQUEST', 'Field after must be what the page before gave as next.')
  }
  if (limit === undefined) return { ok: true, value: { after, limit: Infinity } }
  if (!isWhole(limit, 0, ctlBounds.pageMax)) {
    return refuse('LICD_BAD_REQUEST', `Field limit: from 0 to ${ctlBounds.pageMax}.`)
  }
  return { ok: true, value: { after, limit } }
}

/**
 * The first `limit` of `names` after `after`, in their order, and whether there are more.
 *
 * One walk, and sorts of twice a page: a server that sorted all of its names for each page would stand still for seconds.
 */
export function namesAfter(
  names: Iterable<string>,
  { after, limit }: Required<PageRequest>,
): { readonly names: string[]; readonly more: boolean } {
  if (limit === 0) return { names: [], more: false }
  const kept: string[] = []
  let more = false
  let end: string | undefined
  const prune = (): void => {
    kept.sort()
    if (kept.length <= limit) return
    more = true
    kept.length = limit
    end = kept.at(-1)
  }
  for (const name of names) {
    if (name <= after) continue
    if (end !== undefined && name > end) continue
    kept.push(name)
    if (kept.length >= 2 * limit + 1) prune()
  }
  prune()
  return { names: kept, more }
}

/**
 * A page of `rows`, which `data` makes an answer of. `isPaged`: it was asked for in pages, and may have fewer rows than it
 * was given where a message takes no more; `next` is then the name of the last one.
 */
export function answerPage<Row>(
  rows: readonly Row[],
  page: { readonly more: boolean; readonly isPaged: boolean },
  nameOf: (row: Row) => string,
  data: (rows: readonly Row[], next: { readonly next?: string }) => object,
): Answer {
  const first = (count: number): object => {
    const some = rows.slice(0, count)
    const last = some.at(-1)
    const isLast = count >= rows.length && !page.more
    return data(some, isLast || last === undefined ? {} : { next: nameOf(last) })
  }
  const whole = first(rows.length)
  return page.isPaged
    ? { ok: true, data: whole, shorter: { rows: rows.length, first } }
    : { ok: true, data: whole }
}
