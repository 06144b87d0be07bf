/**
 * Messages, numbered, and sets of them, numbered.
 *
 * A set only grows: what was sent may always arrive once more. So each set is another one and one message, and two
 * words tell it from all others, in whatever order it came about.
 */
import assert from 'node:assert/strict'
import type { Message } from '../../raft/core/message.ts'
import { Hash } from './graph.ts'
import { PairTable } from './table.ts'

interface Post {
  readonly message: Message
  /** The place of the receiver among the servers, or -1. */
  readonly to: number
  readonly low: number
  readonly high: number
}

interface Sent {
  readonly parent: number
  readonly last: number
  readonly size: number
  readonly low: number
  readonly high: number
}

export class Network {
  private readonly servers: readonly string[]
  private readonly posts: Post[] = []
  private readonly postNumbers = new PairTable()
  /** The first one is empty. */
  private readonly sets: Sent[] = [{ parent: 0, last: -1, size: 0, low: 0, high: 0 }]
  private readonly setNumbers = new PairTable()
  private readonly additions = new PairTable()
  /** By message: the last set that `stamp` was asked about and that has it. */
  private stamps: number[] = []
  private stamped = -1

  /** `servers` in their order; what is sent to others gets nowhere. */
  constructor(servers: readonly string[]) {
    this.servers = servers
  }

  get messages(): number {
    return this.posts.length
  }

  message(number: number): Message {
    return this.post(number).message
  }

  receiver(number: number): number {
    return this.post(number).to
  }

  private post(number: number): Post {
    const post = this.posts[number]
    assert(post !== undefined)
    return post
  }

  number(message: Message): number {
    const hash = new Hash()
    hash.value(message)
    const { low, high } = hash
    const known = this.postNumbers.get(low, high)
    if (known !== undefined) return known
    this.posts.push({ message, to: this.servers.indexOf(message.to), low, high })
    this.postNumbers.set(low, high, this.posts.length - 1)
    return this.posts.length - 1
  }

  /** The messages of a set for one server, the last one first. */
  for(server: number, set: number): number[] {
    const found: number[] = []
    for (let at = set; at !== 0;) {
      const { parent, last } = this.at(at)
      if (this.posts[last]?.to === server) found.push(last)
      at = parent
    }
    return found
  }

  private at(set: number): Sent {
    const found = this.sets[set]
    assert(found !== undefined)
    return found
  }

  has(set: number, message: number): boolean {
    for (let at = set; at !== 0;) {
      const { parent, last } = this.at(at)
      if (last === message) return true
      at = parent
    }
    return false
  }

  /** Whether everything in `part` is in `whole`. */
  includes(whole: number, part: number): boolean {
    if (this.at(part).size > this.at(whole).size) return false
    if (this.stamped !== whole) {
      for (let at = whole; at !== 0;) {
        const { parent, last } = this.at(at)
        this.stamps[last] = whole
        at = parent
      }
      this.stamped = whole
    }
    for (let at = part; at !== 0;) {
      const { parent, last } = this.at(at)
      if (this.stamps[last] !== whole) return false
      at = parent
    }
    return true
  }

  /** The set with `message` in it. */
  add(set: number, message: number): number {
    const known = this.additions.get(set, message)
    if (known !== undefined) return known
    const sum = this.has(set, message) ? set : this.sum(set, message)
    this.additions.set(set, message, sum)
    return sum
  }

  private sum(parent: number, last: number): number {
    const post = this.post(last)
    const before = this.at(parent)
    const low = before.low ^ post.low
    const high = before.high ^ post.high
    const known = this.setNumbers.get(low, high)
    if (known !== undefined) return known
    this.sets.push({ parent, last, size: before.size + 1, low, high })
    this.setNumbers.set(low, high, this.sets.length - 1)
    return this.sets.length - 1
  }
}
