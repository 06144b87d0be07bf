/**
 * Logs as paths in a tree of entries: two logs are equal up to an index exactly when they share the node there.
 */
import assert from 'node:assert/strict'
import type { Entry } from '../../raft/core/entry.ts'

interface Node {
  readonly parent: number
  readonly index: number
  readonly term: number
}

export class Trie {
  private readonly nodes: Node[] = [{ parent: 0, index: 0, term: 0 }]
  private readonly children = new Map<string, number>()

  /** The node of the log at `parent` with `entry` after it. */
  child(parent: number, entry: Entry): number {
    assert.equal(entry.index, this.indexOf(parent) + 1, 'written without a gap')
    const data = entry.kind === 'command' ? [...entry.data] : undefined
    const key = `${parent} ${JSON.stringify({ ...entry, data })}`
    const known = this.children.get(key)
    if (known !== undefined) return known
    this.nodes.push({ parent, index: entry.index, term: entry.term })
    this.children.set(key, this.nodes.length - 1)
    return this.nodes.length - 1
  }

  indexOf(node: number): number {
    return this.at(node).index
  }

  termOf(node: number): number {
    return this.at(node).term
  }

  private at(node: number): Node {
    const found = this.nodes[node]
    assert(found !== undefined)
    return found
  }

  /** The node at `index` of the log that ends in `node`. */
  ancestor(node: number, index: number): number {
    assert(index >= 0)
    let at = node
    while (this.indexOf(at) > index) at = this.at(at).parent
    return at
  }

  /** Log matching (5.3): entries of one index and term are one entry, after one history. */
  match(a: number, b: number): boolean {
    const shorter = Math.min(this.indexOf(a), this.indexOf(b))
    let [x, y] = [this.ancestor(a, shorter), this.ancestor(b, shorter)]
    while (x !== y) {
      if (this.termOf(x) === this.termOf(y)) return false
      x = this.at(x).parent
      y = this.at(y).parent
    }
    return true
  }

  /** The terms along a log: how a person tells logs apart. */
  terms(node: number): number[] {
    const terms: number[] = []
    for (let at = node; at !== 0; at = this.at(at).parent) terms.unshift(this.termOf(at))
    return terms
  }
}
