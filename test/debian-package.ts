/**
 * Gets a file out of a Debian package, for programs and libraries that tests need and a machine may not have.
 *
 * On Debian and its kin the package is downloaded by apt, which checks its signature, and unpacked into a folder
 * of ours: nothing is installed, nothing outside the project changes, no root is needed. Elsewhere it throws.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Longest that one call of apt may take, in milliseconds: an unreachable mirror must not hang the tests. */
const aptMs = 180_000

export interface Wanted {
  readonly package: string
  /** Finds the file below the folder into which the package was unpacked. */
  readonly find: (unpacked: string) => string
  /** Throws when it is of no use here: made for another system, or with a library missing. */
  readonly check: (file: string) => void
  /** Where it is put, once it was checked. */
  readonly target: string
}

/** Throws what apt says, or `check`. */
export function getFromPackage({ package: name, find, check, target }: Wanted): void {
  mkdirSync(dirname(target), { recursive: true })
  const folder = mkdtempSync(join(dirname(target), 'get-'))
  try {
    download(name, folder)
    const packed = readdirSync(folder).find(file => file.endsWith('.deb'))
    if (packed === undefined) throw new Error('apt-get brought no package')
    run('dpkg-deb', ['-x', packed, 'unpacked'], folder)
    const file = find(join(folder, 'unpacked'))
    check(file)
    renameSync(file, target)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Downloads the package into `folder`: by this machine's package lists, or else by lists fetched for this alone. */
function download(name: string, folder: string): void {
  try {
    run('apt-get', ['-qq', 'download', name], folder)
  } catch {
    // A fresh machine or image has no lists, or old ones: fetch them, but beside the machine's own.
    const lists = join(folder, 'lists')
    mkdirSync(join(lists, 'partial'), { recursive: true })
    const own = ['-qq', '-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${folder}/apt`]
    run('apt-get', [...own, 'update'], folder)
    run('apt-get', [...own, 'download', name], folder)
  }
}

function run(program: string, args: readonly string[], folder: string): void {
  execFileSync(program, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: aptMs,
    killSignal: 'SIGKILL',
  })
}

/** What was thrown, and what the program that failed had to say. */
export function complaintOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const isBytes = error instanceof Error && 'stderr' in error && error.stderr instanceof Buffer
  const said = isBytes ? (error.stderr as Buffer).toString().trim() : ''
  return message.includes(said) ? message : `${message} ${said}`
}
