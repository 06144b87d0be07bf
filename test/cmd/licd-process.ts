/** Starts the built `licd` program, wherever this test was built, and gathers what it says. */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { watchParent } from '../../lib/nats-server.ts'

const ownProgram = fileURLToPath(new URL('../../cmd/start.cjs', import.meta.url))

/**
 * The test runner has Node load its hooks in every process that a test starts, whatever environment is given; the
 * program would start half as fast and be twice as large. `env` takes them out and becomes the program.
 */
const bare = ['-u', 'NODE_OPTIONS']

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** All it has written so far, standard output first. */
  output(): string
  /** Resolves when standard output or error has matched; rejects when the program ends without. */
  until(pattern: RegExp): Promise<void>
}

export interface LicdOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** Another build's `start.cjs`. */
  readonly program?: string
  /** Called after anything was written. */
  readonly onOutput?: () => void
}

/** The program's environment is empty but for the essentials: what a developer has set must not matter. */
function environmentOf(options: LicdOptions): Record<string, string> {
  const { PATH = '', HOME = '/nonexistent' } = process.env
  return { PATH, HOME, XDG_CONFIG_HOME: '/nonexistent', ...options.env }
}

export function startLicd(args: readonly string[], options: LicdOptions = {}): Running {
  const { program = ownProgram } = options
  const child = spawn('/usr/bin/env', [...bare, process.execPath, program, ...args], {
    env: environmentOf(options),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // A test that is killed leaves no server behind.
  const watcher = watchParent(child.pid)
  let stdout = ''
  let stderr = ''
  const watchers = new Set<() => void>()
  const told = () => {
    for (const look of [...watchers]) look()
    options.onOutput?.()
  }
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    told()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    told()
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      watcher?.kill('SIGKILL')
      resolve({ code, signal, stdout, stderr })
    })
  })
  return {
    child,
    ended,
    output: () => stdout + stderr,
    until: pattern =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(stdout) && !pattern.test(stderr)) return
          watchers.delete(look)
          resolve()
        }
        watchers.add(look)
        look()
        const fail = () => reject(new Error(`ended without ${String(pattern)}: ${stdout}${stderr}`))
        ended.then(fail, fail)
      }),
  }
}

/** Runs it to its end. */
export function licd(args: readonly string[], options: LicdOptions = {}): Promise<Ended> {
  return startLicd(args, options).ended
}
