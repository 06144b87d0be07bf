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
  readonly low: number
  readonly high: number
}

interface Sent {
  readonly parent: number
  readonly last: number
  readonly low: number
  readonly high: number
}

export class Network {
  private readonly posts: Post[] = []
  private readonly postNumbers = new PairTable()
  /** The first one is empty. */
  private readonly sets: Sent[] = [{ parent: 0, last: -1, low: 0, high: 0 }]
  private readonly setNumbers = new PairTable()
  private readonly additions = new PairTable()

  get messages(): number {
    return this.posts.length
  }

  message(number: number): Message {
    const post = this.posts[number]
    assert(post !== undefined)
    return post.message
  }

  number(message: Message): number {
    const hash = new Hash()
    hash.value(message)
    const { low, high } = hash
    const known = this.postNumbers.get(low, high)
    if (known !== undefined) return known
    this.posts.push({ message, low, high })
    this.postNumbers.set(low, high, this.posts.length - 1)
    return this.posts.length - 1
  }

  /** The messages of a set, the last one first. */
  *in(set: number): Generator<number> {
    for (let at = set; at !== 0; ) {
      const { parent, last } = this.at(at)
      yield last
      at = parent
    }
  }

  private at(set: number): Sent {
    const found = this.sets[set]
    assert(found !== undefined)
    return found
  }

  private has(set: number, message: number): boolean {
    for (let at = set; at !== 0; ) {
      const { parent, last } = this.at(at)
      if (last === message) return true
      at = parent
    }
    return false
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
    const post = this.posts[last]
    assert(post !== undefined)
    const before = this.at(parent)
    const low = before.low ^ post.low
    const high = before.high ^ post.high
    const known = this.setNumbers.get(low, high)
    if (known !== undefined) return known
    this.sets.push({ parent, last, low, high })
    this.setNumbers.set(low, high, this.sets.length - 1)
    return this.sets.length - 1
  }
}
