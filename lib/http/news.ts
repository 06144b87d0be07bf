/**
 * What happened lately, in words, for people who look on: borrowing, moves, fail-over.
 *
 * From what this server applied and from what it sees of the others, so that it needs no message of theirs. A
 * ring of `newsMax`; the rest is forgotten.
 */
import type { PoolEvent } from '../ctl/pool-events.ts'
import { describeChanges, describeCode } from '../ctl/words.ts'
import type { ServerStatus } from '../protocol/ctl.ts'

export const newsMax = 200

export interface News {
  /** Counts up from 1 at each server's start. */
  readonly id: number
  /** Wall time here, milliseconds since 1970. */
  readonly at: number
  /** Type of a change (`borrow`, `lend`, ...), or `leader`, `server`, `lease`. */
  readonly kind: string
  readonly feature?: string
  readonly text: string
}

export class NewsRing {
  readonly #now: () => number
  #items: News[] = []
  #id = 0
  #leader: string | undefined
  #states = new Map<string, ServerStatus['state']>()
  #isBegun = false

  constructor(now: () => number) {
    this.#now = now
  }

  /** Counts all that was ever told. */
  get id(): number {
    return this.#id
  }

  /** The oldest first. */
  after(id: number): readonly News[] {
    return this.#items.filter(item => item.id > id)
  }

  /** Something that this server told the pool itself. */
  told({ type, event }: PoolEvent): void {
    if (type === 'gone')
      this.#add({ kind: 'server', text: `${event.server} is gone: nobody listens there` })
    else if (type === 'server') {
      const text = ownEvents[event.event]
      if (text !== undefined) this.#add({ kind: 'lease', text: `${event.server} ${text}` })
    } else if (type === 'code') {
      this.#add({ kind: 'code', feature: event.feature, text: describeCode(event) })
    } else {
      for (const item of describeChanges(event.changes)) this.#add(item)
      if (event.changes.length === 0 && event.more) {
        this.#add({ kind: 'snapshot', text: `${event.server} caught up by a snapshot` })
      }
    }
  }

  /** The pool as this server sees it now. The first look tells nothing. */
  look(leader: string | undefined, states: ReadonlyMap<string, ServerStatus['state']>): void {
    if (this.#isBegun && leader !== this.#leader) {
      const text = leader === undefined ? 'no leader is heard' : `${leader} is the leader server`
      this.#add({ kind: 'leader', text })
    }
    for (const [name, state] of states) {
      const before = this.#states.get(name)
      if (!this.#isBegun || before === state) continue
      this.#add({
        kind: 'server',
        text: `${name} ${before === undefined ? 'joins' : words[state]}`,
      })
    }
    this.#leader = leader
    this.#states = new Map(states)
    this.#isBegun = true
  }

  #add(item: Omit<News, 'id' | 'at'>): void {
    this.#items.push({ id: ++this.#id, at: this.#now(), ...item })
    if (this.#items.length > newsMax) this.#items = this.#items.slice(-newsMax)
  }
}

const words = {
  up: 'is up',
  silent: 'is silent: the pool does not hear it',
  down: 'is down: its allocations may be borrowed',
} as const

const ownEvents: Readonly<Record<string, string>> = {
  started: 'serves',
  'lease-lost': 'may not grant any more: its lease is over',
  lease: 'may grant',
  stopping: 'stops',
}
