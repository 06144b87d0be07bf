/**
 * `/api/pool`: the pool with all its features, or with a page of them.
 *
 * A pool of many features and servers is tens of megabytes in one piece, and a server stands still while it writes them:
 * that is refused, and read in pages.
 */
import { LicdError } from '../error.ts'
import type { FeatureReport, PoolReport } from './report.ts'

/** Features of a page, at most. */
export const pageMax = 1_000
/** Shares, one of each server for each feature, in one answer: some 7 MB. */
export const rowsMax = 32_000
/** Pages asked for within this time of the first are of the same moment, as far as nobody else looks on. */
export const pagesMs = 10_000

export interface PoolPage extends PoolReport {
  /** What to ask for as `from` to go on; absent on the last page, and where all was asked for. */
  readonly next?: string
}

export interface PoolQuery {
  /** The name that the page before ended with. */
  readonly from: string
  /** `undefined`: all features. */
  readonly limit: number | undefined
}

/** @throws LicdError LICD_BAD_REQUEST (`limit`) */
export function readPoolQuery(query: URLSearchParams): PoolQuery {
  const limit = query.get('limit')
  const from = query.get('from') ?? ''
  if (limit === null || limit === '') return { from, limit: undefined }
  const count = Number(limit)
  if (Number.isInteger(count) && count >= 1 && count <= pageMax) return { from, limit: count }
  throw new LicdError('LICD_BAD_REQUEST', `Field limit: from 1 to ${pageMax}.`)
}

/**
 * Before anything is gathered.
 *
 * @throws LicdError LICD_TOO_LARGE: all features were asked for, and they are too many for one answer
 */
export function checkWhole(
  { limit }: PoolQuery,
  { features, servers }: { readonly features: number; readonly servers: number },
): void {
  const most = featuresIn(servers)
  if (limit !== undefined || features <= most) return
  const first = `/api/pool?limit=${Math.min(most, pageMax)}`
  const detail = `The pool has ${features} features: ask for ${first}, then for from=NEXT besides.`
  throw new LicdError('LICD_TOO_LARGE', detail)
}

/** The features after `from`, in the order of their names; fewer than `limit` in a pool of very many servers. */
export function pageOf(report: PoolReport, { from, limit }: PoolQuery): PoolPage {
  if (limit === undefined) return report
  const { features, servers } = report
  const left = features.filter(({ name }) => name > from).sort(byName)
  const page = left.slice(0, Math.min(limit, featuresIn(servers.length)))
  const last = page.at(-1)
  const isLast = last === undefined || page.length === left.length
  return { ...report, features: page, ...(isLast ? {} : { next: last.name }) }
}

function featuresIn(servers: number): number {
  return Math.max(1, Math.floor(rowsMax / Math.max(1, servers)))
}

function byName(a: FeatureReport, b: FeatureReport): number {
  return a.name < b.name ? -1 : 1
}
