/**
 * Three servers of one kind, which can be killed and started again one by one: for gaps and restarts.
 */
import type { Child } from './child.ts'
import type { NamedProcess } from './contender.ts'

export class Trio {
  readonly names: readonly string[]
  readonly #start: (name: string, n: number) => Child
  readonly #children = new Map<string, Child>()

  constructor(names: readonly string[], start: (name: string, n: number) => Child) {
    this.names = names
    this.#start = start
    for (const name of names) this.start(name)
  }

  start(name: string): Child {
    const child = this.#start(name, this.names.indexOf(name))
    this.#children.set(name, child)
    return child
  }

  child(name: string): Child {
    const child = this.#children.get(name)
    if (child === undefined) throw new Error(`${name} does not run`)
    return child
  }

  async end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(name)
    this.#children.delete(name)
    await child?.stop(signal)
  }

  async endAll(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await Promise.all([...this.#children.keys()].map(name => this.end(name, signal)))
  }

  processes(): NamedProcess[] {
    return [...this.#children].map(([name, { pid }]) => ({ name, pid }))
  }
}
