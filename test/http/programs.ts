/**
 * Programs that look at what a server shows: Prometheus and a browser. Found, or fetched from Debian once; where
 * neither works the tests that need them are skipped, with a line that says how to get them.
 */
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { cachedNatsServer } from '../../lib/nats-server.ts'
import { fetchPrograms } from '../debian-package.ts'

const cache = dirname(cachedNatsServer())
const tried = new Set<string>()

/** The path of the program, or why there is none. */
export type Found = { readonly path: string } | { readonly missing: string }

function find(names: readonly string[]): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', cache]
  return folders.flatMap(folder => names.map(name => join(folder, name))).find(existsSync)
}

function get(
  names: readonly string[],
  source: { readonly variable: string; readonly package: string; readonly files: string[] },
): Found {
  const set = process.env[source.variable]
  if (set !== undefined && set !== '') return { path: set }
  const found = find(names)
  if (found !== undefined) return { path: found }
  const missing = `no ${names[0] ?? ''}: apt-get install ${source.package}, or set ${source.variable} to its path`
  if (tried.has(source.package)) return { missing }
  tried.add(source.package)
  try {
    fetchPrograms(source.package, source.files, cache)
  } catch {
    return { missing }
  }
  const path = find(names)
  return path === undefined ? { missing } : { path }
}

const ofPrometheus = { package: 'prometheus', files: ['usr/bin/promtool', 'usr/bin/prometheus'] }

export function promtool(): Found {
  return get(['promtool'], { variable: 'LICD_PROMTOOL', ...ofPrometheus })
}

export function prometheus(): Found {
  return get(['prometheus'], { variable: 'LICD_PROMETHEUS', ...ofPrometheus })
}

/** Only where it is installed: unpacked alone it would lack its libraries. */
export function chromium(): Found {
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  return get(names, { variable: 'LICD_CHROMIUM', package: 'chromium', files: ['usr/bin/chromium'] })
}
