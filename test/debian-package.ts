/**
 * Programs and libraries that tests use and this machine lacks, from Debian: downloaded by apt, which checks the
 * signature, and unpacked into a folder of the project's. Nothing is installed, nothing outside the project changes, no
 * root is needed. Where there is no apt it throws.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

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
  unpack(name, dirname(target), unpacked => {
    const file = find(unpacked)
    check(file)
    renameSync(file, target)
  })
}

/** Moves `programs`, paths in the package, into the folder `to`; each must run here. Throws when it cannot be had. */
export function fetchPrograms(name: string, programs: readonly string[], to: string): void {
  unpack(name, to, unpacked => {
    for (const path of programs) {
      const program = join(unpacked, path)
      // A program for another system or with a library missing is found out here, not in a test.
      run(program, ['--version'], to)
      renameSync(program, join(to, basename(path)))
    }
  })
}

/** `take` moves what is wanted out of the folder; the rest goes. */
function unpack(name: string, beside: string, take: (unpacked: string) => void): void {
  mkdirSync(beside, { recursive: true })
  const folder = mkdtempSync(join(beside, 'get-'))
  try {
    download(name, folder)
    const packed = readdirSync(folder).find(file => file.endsWith('.deb'))
    if (packed === undefined) throw new Error('apt-get brought no package')
    run('dpkg-deb', ['-x', packed, 'unpacked'], folder)
    take(join(folder, 'unpacked'))
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

/** Runs a program to its end; throws, with what it wrote to standard error, when it fails. */
export function run(program: string, args: readonly string[], folder: string): void {
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
