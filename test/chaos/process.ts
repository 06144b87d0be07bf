/**
 * A process of a chaos run: started at its place of the network, stopped and killed by its own id, its last words kept.
 *
 * The program itself gets the id: what stands before it (entering a namespace, setting variables) becomes it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Janitor } from './janitor.ts'

export interface ProcessOptions {
  readonly janitor: Janitor
  /** What takes the command to its place; see `network.ts`. */
  readonly prefix: readonly string[]
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Takes messages by `send`. */
  readonly ipc?: boolean
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const keptBytes = 64 * 1024

export class Process {
  readonly pid: number
  readonly ended: Promise<Exit>
  readonly #child: ChildProcess
  readonly #watchers = new Set<() => void>()
  #output = ''
  #exit: Exit | undefined

  constructor({ janitor, prefix, command, env = {}, ipc = false }: ProcessOptions) {
    const { PATH = '', HOME = '/nonexistent' } = process.env
    const set = Object.entries({ ...env, XDG_CONFIG_HOME: '/nonexistent' })
    // The test runner's hooks would come along otherwise.
    const clean = ['/usr/bin/env', '-u', 'NODE_OPTIONS', ...set.map(([k, v]) => `${k}=${v}`)]
    const [program = '', ...args] = [...prefix, ...clean, ...command]
    this.#child = spawn(program, args, {
      env: { PATH, HOME },
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
    })
    const { pid } = this.#child
    if (pid === undefined) throw new Error(`${program} cannot be started`)
    this.pid = pid
    const forget = janitor.add({ type: 'process', pid, startedAt: startOf(pid) ?? '' })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-keptBytes)
        for (const look of [...this.#watchers]) look()
      })
    }
    this.ended = new Promise(resolve => {
      this.#child.once('close', (code, signal) => {
        forget()
        this.#exit = { code, signal }
        resolve(this.#exit)
        for (const look of [...this.#watchers]) look()
      })
      this.#child.once('error', () => undefined)
    })
  }

  get exit(): Exit | undefined {
    return this.#exit
  }

  /** The last 64 KiB it has said. */
  output(): string {
    return this.#output
  }

  /** Resolves with true when it has said `pattern`, with false when it ended without. */
  until(pattern: RegExp): Promise<boolean> {
    return new Promise(resolve => {
      const look = (): void => {
        const isSaid = pattern.test(this.#output)
        if (!isSaid && this.#exit === undefined) return
        this.#watchers.delete(look)
        resolve(isSaid)
      }
      this.#watchers.add(look)
      look()
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  onMessage(handle: (message: unknown) => void): void {
    this.#child.on('message', handle)
  }

  /** Tells it, and resolves with what it says of that; with undefined when it does not in time, or ends. */
  tell<News extends { readonly said: string }>(
    command: { readonly do: string },
    isAnswer: (news: News) => boolean,
    withinMs: number,
  ): Promise<News | undefined> {
    return new Promise(resolve => {
      const done = (news: News | undefined): void => {
        clearTimeout(timer)
        this.#child.off('message', handle)
        resolve(news)
      }
      const timer = setTimeout(() => done(undefined), withinMs)
      const handle = (message: unknown): void => {
        const news = message as News
        if (isAnswer(news)) done(news)
      }
      this.#child.on('message', handle)
      void this.ended.then(() => done(undefined))
      if (this.#child.connected) this.#child.send(command, () => undefined)
      else done(undefined)
    })
  }
}

/** When a process began, as the system counts it: with its id it names it for good. Undefined when it is gone. */
export function startOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
