/**
 * libfaketime, which sets the wall clock of a process off and leaves its monotonic clock alone: found, or fetched, and
 * tried before it is relied on.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageFolder } from '../../lib/nats-server.ts'
import { complaintOf, getFromPackage } from '../debian-package.ts'

const file = 'libfaketimeMT.so.1'
const places = [
  '/usr/lib/x86_64-linux-gnu/faketime',
  '/usr/lib/aarch64-linux-gnu/faketime',
  '/usr/lib/faketime',
  '/usr/lib64/faketime',
]

export interface Faketime {
  /** Variables of a process whose wall clock is off by what `offsetFile` says at the moment. */
  env(offsetFile: string): Readonly<Record<string, string>>
}

/** `LICD_FAKETIME` (its path), the usual folders, the project's cache, or else the Debian package. */
export function getFaketime(): Faketime | { readonly missing: string } {
  const cached = join(packageFolder(), 'node_modules', '.cache', 'licd', file)
  const own = process.env.LICD_FAKETIME
  const known = own === undefined ? [...places.map(place => join(place, file)), cached] : [own]
  const found = known.find(path => existsSync(path))
  if (found !== undefined) return works(found) ?? { env: environment(found) }
  try {
    const find = (unpacked: string): string => {
      const all = readdirSync(unpacked, { recursive: true, encoding: 'utf8' })
      const path = all.find(name => name.endsWith(`/${file}`))
      if (path === undefined) throw new Error(`${file} is not in the package`)
      return join(unpacked, path)
    }
    const check = (path: string): void => {
      const problem = works(path)
      if (problem !== undefined) throw new Error(problem.missing)
    }
    getFromPackage({ package: 'libfaketime', find, check, target: cached })
    return { env: environment(cached) }
  } catch (error) {
    const advice = 'apt-get install libfaketime, or set LICD_FAKETIME to the path of'
    return { missing: `no libfaketime (${advice} ${file}): ${complaintOf(error)}` }
  }
}

const environment =
  (path: string) =>
  (offsetFile: string): Record<string, string> => ({
    LD_PRELOAD: path,
    DONT_FAKE_MONOTONIC: '1',
    FAKETIME_NO_CACHE: '1',
    FAKETIME_TIMESTAMP_FILE: offsetFile,
  })

/** A day off, set while the process runs, and no jump of the monotonic clock. */
function works(path: string): { readonly missing: string } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'licd-faketime-'))
  try {
    const offsetFile = join(folder, 'offset')
    writeFileSync(offsetFile, '+0\n')
    const script = `
      const before = [Date.now(), performance.now()]
      require('node:fs').writeFileSync(${JSON.stringify(offsetFile)}, '+86400\\n')
      console.log(Date.now() - before[0], performance.now() - before[1])`
    const { stdout, stderr, error } = spawnSync(process.execPath, ['-e', script], {
      env: { PATH: process.env.PATH ?? '', ...environment(path)(offsetFile) },
      encoding: 'utf8',
      timeout: 30_000,
    })
    const [wall = NaN, steady = NaN] = stdout.split(' ').map(Number)
    if (wall >= 86_400_000 && steady >= 0 && steady < 60_000) return undefined
    return { missing: `${path} sets no clock here: ${error?.message ?? `${stdout} ${stderr}`}` }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
