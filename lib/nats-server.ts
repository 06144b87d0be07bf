/**
 * Finds a nats-server program and runs one as a child: on loopback, for `licd dev`, tests and benchmarks, or by a
 * configuration file, beside a license server (own-nats.ts).
 *
 * The child keeps no data (core NATS only), listens on 127.0.0.1 alone unless its configuration says otherwise, and
 * ends with its parent, even when the parent is killed: a small watcher holds a pipe to the parent and kills the
 * child when that pipe closes.
 *
 * This is an adapter to the operating system: it uses real processes, sockets and timers.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { LicdError } from './error.ts'

const program = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server'
const folders = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin']

/** What is kept of the child's log: its last bytes, enough to say why it ended. */
const logBytesMax = 64 * 1024
/** A line of its log that is longer is told in part. */
const lineBytesMax = 4_096
/** An INFO line is far shorter; whoever sends more than this is no NATS server. */
const infoBytesMax = 16 * 1024

export interface NatsServerOptions {
  /** The program to run; found by {@link findNatsServer} when absent. */
  readonly program?: string
  /** Port on 127.0.0.1; a free one when absent, chosen by the server itself, so that nobody can take it between. */
  readonly port?: number
  /** More arguments, for example `['-c', file]`. */
  readonly args?: readonly string[]
  /** A configuration that says where it listens, instead of `port`; its files are named relative to `folder`. */
  readonly config?: { readonly folder: string; readonly file: string }
  /** Called with each line that it writes. */
  readonly onLine?: (line: string) => void
  /** The environment to look for the program in; this process's when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** How long the server may take to answer, in milliseconds; 10,000 when absent. */
  readonly startMs?: number
}

export interface NatsServer {
  /** `nats://127.0.0.1:<port>`, or where its configuration says. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** The last 64 KiB of what the server wrote. */
  log(): string
  /** Resolves when the process has ended, by whatever cause. */
  readonly ended: Promise<void>
  /** Ends the server and waits until it is gone: SIGTERM, and SIGKILL after 2 s. Twice does no harm. */
  stop(): Promise<void>
  /** Ends it at once (SIGKILL) and waits until it is gone. */
  kill(): Promise<void>
}

/** Folder of the package that this file belongs to: the first one above it with a package.json. */
export function packageFolder(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) {
    const above = dirname(folder)
    if (above === folder) return import.meta.dirname
    folder = above
  }
  return folder
}

/** Where the test command puts the nats-server that it fetched. `npm ci` empties it. */
export function cachedNatsServer(): string {
  return join(packageFolder(), 'node_modules', '.cache', 'licd', program)
}

/**
 * Path of a nats-server program, or `undefined`: `LICD_NATS_SERVER`, then PATH, the usual folders, the cache.
 *
 * Throws LICD_NATS_MISSING when LICD_NATS_SERVER names no program: what was asked for is never replaced silently.
 */
export function findNatsServer(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const wanted = environment['LICD_NATS_SERVER']
  if (wanted !== undefined && wanted !== '') {
    if (isProgram(wanted)) return wanted
    throw new LicdError('LICD_NATS_MISSING', `LICD_NATS_SERVER is ${wanted}: no program is there.`)
  }
  const path = (environment['PATH'] ?? '').split(delimiter).filter(folder => folder !== '')
  return [...[...path, ...folders].map(folder => join(folder, program)), cachedNatsServer()].find(
    isProgram,
  )
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/**
 * Starts a nats-server on loopback and resolves when it answers with its INFO line.
 *
 * Rejects with LICD_NATS_MISSING (no program), or LICD_NATS_UNREACHABLE with the last lines of its log (it
 * ended, or did not answer in time); no process is left then.
 */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const path = options.program ?? findNatsServer(options.environment)
  if (path === undefined) throw new LicdError('LICD_NATS_MISSING')
  const { config, startMs = 10_000 } = options
  const wantedPort = options.port ?? -1
  const where =
    config === undefined ? ['-a', '127.0.0.1', '-p', String(wantedPort)] : ['-c', config.file]
  const child = spawn(path, [...where, ...(options.args ?? [])], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // A group of its own: Ctrl-C in the terminal reaches the parent first, which stops the server in order.
    detached: true,
    ...(config === undefined ? {} : { cwd: config.folder }),
  })
  const log = captureLog(child, options.onLine)
  const ended = new Promise<void>(resolve => {
    // 'close' follows 'exit' when the log is read to its end; a program that cannot run has only an 'error'.
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  const watcher = watchParent(child.pid)
  void ended.then(() => watcher?.kill('SIGKILL'))
  const end = (signal: NodeJS.Signals) => endChild(child, signal, ended)
  try {
    const { host, port } = await withDeadline(startMs, async () => {
      const said = await untilListening(child, log, wantedPort)
      // By a configuration it may want TLS: a greeting that goes no further would be an error in its log.
      if (config === undefined) await readInfo(said.port)
      return said
    })
    const { pid } = child
    if (pid === undefined) throw new Error('no process id')
    return {
      url: `nats://${host.includes(':') ? `[${host}]` : host}:${port}`,
      port,
      pid,
      log: () => log.text(),
      ended,
      stop: () => end('SIGTERM'),
      kill: () => end('SIGKILL'),
    }
  } catch (cause) {
    await end('SIGKILL')
    const why = cause instanceof Error ? cause.message : String(cause)
    const tail = log.text().trim().split('\n').slice(-3).join(' | ')
    throw new LicdError('LICD_NATS_UNREACHABLE', `${path}: ${why}. ${tail}`.trim(), { cause })
  }
}

interface Log {
  text(): string
  onText(handle: () => void): void
}

function captureLog(child: ChildProcess, onLine?: (line: string) => void): Log {
  let text = ''
  let line = ''
  const handles: (() => void)[] = []
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-logBytesMax)
    for (const handle of handles) handle()
    if (onLine === undefined) return
    const lines = (line + chunk).split('\n')
    line = (lines.pop() ?? '').slice(-lineBytesMax)
    for (const whole of lines) onLine(whole)
  })
  return { text: () => text, onText: handle => void handles.push(handle) }
}

/** Where it listens, once the server has said it. */
async function untilListening(
  child: ChildProcess,
  log: Log,
  wanted: number,
): Promise<{ readonly host: string; readonly port: number }> {
  const said = await new Promise<{ host: string; port: number }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => reject(new Error(`it ended with code ${String(code)}`)))
    log.onText(() => {
      const [, host, port] =
        /Listening for client connections on (\S+):(\d+)/.exec(log.text()) ?? []
      if (host !== undefined) resolve({ host: host.replaceAll(/[[\]]/g, ''), port: Number(port) })
    })
  })
  const { port } = said
  // Another server may own the wanted port only if ours failed to listen, which the log line excludes.
  if (wanted !== -1 && port !== wanted) throw new Error(`it listens on ${port}, not ${wanted}`)
  const isAny = said.host === '0.0.0.0' || said.host === '::'
  const host = isAny ? '127.0.0.1' : said.host
  return { host, port }
}

/** Resolves when a NATS server greets on the loopback port; rejects when something else does, or nothing. */
export function readInfo(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = createConnection({ host: '127.0.0.1', port })
    const fail = (error: Error) => {
      socket.destroy()
      reject(error)
    }
    socket.setEncoding('utf8')
    socket.setTimeout(5_000, () => fail(new Error('no greeting within 5 s')))
    socket.once('error', fail)
    socket.once('close', () => reject(new Error('the connection was closed before a greeting')))
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.length > infoBytesMax || !'INFO {'.startsWith(text.slice(0, 6))) {
        fail(new Error('what answers there is no NATS server'))
      } else if (text.includes('\n')) {
        resolve()
        socket.destroy()
      }
    })
  })
}

function withDeadline<T>(ms: number, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
    work()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}

async function endChild(child: ChildProcess, signal: NodeJS.Signals, ended: Promise<void>) {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill(signal)
    // A server that was paused (SIGSTOP) hears no SIGTERM.
    const timer = setTimeout(() => child.kill('SIGKILL'), 2_000)
    await ended
    clearTimeout(timer)
  } else {
    await ended
  }
}

/**
 * Kills the process when this one is gone, however it went: the watcher's `read` returns when the pipe from
 * here closes. It is ended first when the process ends by itself, lest it hit a later one of the same number.
 */
export function watchParent(pid: number | undefined): ChildProcess | undefined {
  if (pid === undefined || process.platform === 'win32') return undefined
  const watcher = spawn('/bin/sh', ['-c', 'read -r _; kill -9 "$1"', 'licd-watcher', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watcher.on('error', () => undefined)
  watcher.stdin?.on('error', () => undefined)
  return watcher
}
