/**
 * Gets a real nats-server for the tests where this machine has none: `node dist/test/get-nats-server.js`.
 *
 * On Debian and its kin the package is downloaded by apt, which checks its signature, and unpacked into the
 * project's cache folder: nothing is installed, nothing outside the project changes, no root is needed.
 * Elsewhere it says what to install and ends with code 1.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cachedNatsServer, findNatsServer } from '../lib/nats-server.ts'

const advice = [
  'No nats-server was found, and the tests run against a real one. Do one of these:',
  '  Debian, Ubuntu   apt-get install nats-server',
  '  macOS            brew install nats-server',
  '  elsewhere        https://github.com/nats-io/nats-server/releases',
  'then put it in PATH, or set LICD_NATS_SERVER to its path, and run the tests again.',
].join('\n')

/** Longest that one call of apt may take, in milliseconds: an unreachable mirror must not hang the tests. */
const aptMs = 180_000

function run(program: string, args: readonly string[], folder: string): void {
  execFileSync(program, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: aptMs,
    killSignal: 'SIGKILL',
  })
}

/** Downloads the package into `folder`: by this machine's package lists, or else by lists fetched for this alone. */
function download(folder: string): void {
  try {
    run('apt-get', ['-qq', 'download', 'nats-server'], folder)
  } catch {
    // A fresh machine or image has no lists, or old ones: fetch them, but beside the machine's own.
    const lists = join(folder, 'lists')
    mkdirSync(join(lists, 'partial'), { recursive: true })
    const own = ['-qq', '-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${folder}/apt`]
    run('apt-get', [...own, 'update'], folder)
    run('apt-get', [...own, 'download', 'nats-server'], folder)
  }
}

function get(target: string): void {
  mkdirSync(dirname(target), { recursive: true })
  const folder = mkdtempSync(join(dirname(target), 'get-'))
  try {
    download(folder)
    const packed = readdirSync(folder).find(name => name.endsWith('.deb'))
    if (packed === undefined) throw new Error('apt-get brought no package')
    run('dpkg-deb', ['-x', packed, 'unpacked'], folder)
    const program = join(folder, 'unpacked', 'usr', 'sbin', 'nats-server')
    // A program for another system or with a library missing is found out here, not in a test.
    run(program, ['--version'], folder)
    renameSync(program, target)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function main(): number {
  const found = findNatsServer()
  if (found !== undefined) {
    console.log(`nats-server: ${found}`)
    return 0
  }
  const target = cachedNatsServer()
  try {
    get(target)
    console.log(`nats-server: ${target} (fetched with apt-get)`)
    return 0
  } catch (error) {
    const said =
      error instanceof Error && 'stderr' in error && error.stderr instanceof Buffer
        ? error.stderr.toString().trim()
        : ''
    console.error(
      `${advice}\n\n(${error instanceof Error ? error.message : String(error)}) ${said}`,
    )
    return 1
  }
}

process.exitCode = main()
