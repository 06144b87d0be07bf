/**
 * The page's files, as they are in the package: read once, kept in memory, sent with a tag and packed.
 *
 * A fixed list, so that no path from outside ever reaches the disk. The page takes nothing from any other host: its
 * policy lets it speak to its own server and, for the time that one is lost, to the others of the pool.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { packageFolder } from '../nats-server.ts'
import type { HttpAnswer, HttpRequest } from './listener.ts'

const files = [
  'index.html',
  'page.css',
  'page.js',
  'audit.js',
  'bars.js',
  'chart.js',
  'dom.js',
  'features.js',
  'feed.js',
  'history.js',
  'icon.svg',
  'news.js',
  'paged.js',
  'seats.js',
  'servers.js',
  'why.js',
] as const

/** The charts' library, from its own package; the page asks for it when a chart is to be drawn. */
const charts = { 'uplot.js': 'uPlot.iife.min.js', 'uplot.css': 'uPlot.min.css' } as const

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

interface Page {
  readonly type: string
  readonly bytes: Uint8Array
  readonly packed: Uint8Array
  readonly tag: string
}

export class Pages {
  readonly #pages = new Map<string, Page>()

  /** Reads them. Throws what the file system says when one is missing: the package is broken then. */
  constructor(folder = join(packageFolder(), 'lib', 'page')) {
    for (const name of files) this.#add(name, join(folder, name))
    const dist = dirname(createRequire(import.meta.url).resolve('uplot'))
    for (const [name, file] of Object.entries(charts)) this.#add(name, join(dist, file))
  }

  #add(name: string, file: string): void {
    const bytes = readFileSync(file)
    const tag = createHash('sha256').update(bytes).digest('base64url').slice(0, 22)
    const type = types[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
    const path = name === 'index.html' ? '/' : `/${name}`
    this.#pages.set(path, { type, bytes, packed: gzipSync(bytes), tag })
  }

  /** `undefined` where there is no such page. `others`: addresses that the page may go on with. */
  answer(request: HttpRequest, others: readonly string[]): HttpAnswer | undefined {
    const page = this.#pages.get(request.path)
    if (page === undefined) return undefined
    const policy = policyOf(others)
    // A browser keeps the old policy beside a page that did not change: another policy is another page.
    const salt = createHash('sha256').update(policy).digest('base64url').slice(0, 8)
    const tag = `"${page.tag}-${salt}"`
    const headers = {
      'Content-Type': page.type,
      'Content-Security-Policy': policy,
      'X-Frame-Options': 'DENY',
      // Asked for each time, and seldom sent: a page and its parts are never of two versions.
      'Cache-Control': 'no-cache',
      ETag: tag,
      Vary: 'Accept-Encoding',
    }
    if (request.header('if-none-match') === tag) return { status: 304, headers }
    if (request.header('accept-encoding')?.includes('gzip') !== true) {
      return { headers, body: page.bytes }
    }
    return { headers: { ...headers, 'Content-Encoding': 'gzip' }, body: page.packed }
  }
}

function policyOf(others: readonly string[]): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src ${["'self'", ...others].join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
