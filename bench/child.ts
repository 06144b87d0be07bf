/** Programs that a bench starts: found, started with their data in a folder of their own, ended by their process id. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { watchParent } from '../lib/nats-server.ts'

const logBytesMax = 16 * 1024
const startMs = 60_000

export interface Child {
  readonly pid: number
  readonly ended: Promise<void>
  log(): string
  /** Resolves when what it wrote matches; rejects when it ends before, or within a minute. */
  until(pattern: RegExp): Promise<void>
  /** SIGTERM, SIGKILL after 5 s. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

export function findProgram(name: string, more: readonly string[] = []): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', ...more]
  return folders.map(folder => join(folder, name)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The first line that matches of what a program says of its version. */
export function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  return pattern.exec(`${stdout}\n${stderr}`)?.[1] ?? 'unknown'
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map(server => once(server.close(), 'close')))
  return ports
}

export interface ChildOptions {
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
  readonly env?: NodeJS.ProcessEnv
}

export function startChild(
  program: string,
  args: readonly string[],
  options: ChildOptions = {},
): Child {
  const child = spawn(program, args, {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C reaches the bench, which ends it in order.
    detached: true,
  })
  const watcher = watchParent(child.pid)
  let log = ''
  const looks = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-logBytesMax)
      for (const look of [...looks]) look()
    })
  }
  const ended = new Promise<void>(resolve => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  void ended.then(() => watcher?.kill('SIGKILL'))
  if (child.pid === undefined) throw new Error(`${program} cannot be run`)
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const fail = () => reject(new Error(`${program}: no ${String(pattern)} in: ${log}`))
      const timer = setTimeout(fail, startMs)
      const look = () => {
        if (!pattern.test(log)) return
        looks.delete(look)
        clearTimeout(timer)
        resolve()
      }
      looks.add(look)
      look()
      void ended.then(fail)
    })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await ended
    clearTimeout(timer)
  }
  return { pid: child.pid, ended, log: () => log, until, stop }
}

/** Tries again until it works, for what a server says in no log: that it answers. */
export async function untilWorks<T>(
  what: string,
  attempt: () => Promise<T>,
  withinMs = startMs,
): Promise<T> {
  const end = performance.now() + withinMs
  for (;;) {
    try {
      return await attempt()
    } catch (cause) {
      if (performance.now() > end) throw new Error(`${what}: not within ${withinMs} ms`, { cause })
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}
