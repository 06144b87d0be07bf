/**
 * Sees to it that a chaos run leaves nothing behind: no process, no mount, no frozen disk, no folder.
 *
 * What must go is told to a process of its own before it comes to be. It acts when the pipe to it closes: when the run
 * is over, and just as well when the run was killed, so that the way that cleans up is the one that is always taken.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type Task =
  | { readonly type: 'process'; readonly pid: number; readonly startedAt: string }
  | { readonly type: 'unmount'; readonly path: string }
  | { readonly type: 'thaw'; readonly path: string }
  | { readonly type: 'remove'; readonly path: string }

export type Order = { readonly add: string; readonly task: Task } | { readonly drop: string }

export class Janitor {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #said = ''
  #count = 0

  constructor() {
    const program = fileURLToPath(new URL('./janitor-process.js', import.meta.url))
    // A session of its own: what interrupts the run must not interrupt this.
    this.#child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, program], {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    })
    this.#child.stdin?.on('error', () => undefined)
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
    this.#ended = new Promise(resolve => {
      this.#child.once('close', () => resolve())
      this.#child.once('error', () => resolve())
    })
  }

  /** Returns what takes it back, for when it is done already. */
  add(task: Task): () => void {
    const add = String(this.#count++)
    this.#order({ add, task })
    return () => this.#order({ drop: add })
  }

  #order(order: Order): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`)
  }

  /** Cleans up, last things first, and resolves with what it could not do ('' is well). Twice does no harm. */
  async finish(): Promise<string> {
    this.#child.stdin?.end()
    await this.#ended
    return this.#said
  }
}
