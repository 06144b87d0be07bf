/**
 * What once happened on the way to a state, and what it forbids for ever after (paper, Figure 3).
 *
 * A history is part of a state: the same servers with another past may break another promise.
 */
import assert from 'node:assert/strict'
import type { Trie } from './trie.ts'

export interface History {
  /** By term; '' where none is known. */
  readonly leaders: readonly string[]
  /** The log up to each committed index, from 1 on, and the term of the leader that committed it. */
  readonly committed: readonly { readonly node: number; readonly inTerm: number }[]
  /** Index and term of proposals that were called lost. */
  readonly lost: readonly string[]
}

/** What a step of one server adds. */
export interface Fact {
  readonly server: string
  readonly term: number
  readonly log: number
  readonly elected: boolean
  /** Led before or after the step. */
  readonly leads: boolean
  /** The commit index before, and after. */
  readonly from: number
  readonly to: number
  readonly lost: readonly string[]
}

export function isNews({ elected, from, to, lost }: Fact): boolean {
  return elected || to > from || lost.length > 0
}

/** The history with `fact` in it. Throws where the one forbids the other. */
export function continued(history: History, fact: Fact, trie: Trie): History {
  const leaders = [...history.leaders]
  if (fact.elected) elect(history, leaders, fact, trie)
  const committed = [...history.committed]
  commit(committed, fact, trie)
  const lost = [...new Set([...history.lost, ...fact.lost])].sort()
  for (const { node } of committed) {
    const name = nameOf(trie.indexOf(node), trie.termOf(node))
    assert(!lost.includes(name), `lost, but committed: ${name}`)
  }
  return { leaders, committed, lost }
}

export function nameOf(index: number, term: number): string {
  return `${index}/${term}`
}

function elect({ committed }: History, leaders: string[], fact: Fact, trie: Trie): void {
  const { term, server, log } = fact
  const known = leaders[term] ?? ''
  assert(known === '' || known === server, `election safety: two leaders in term ${term}`)
  while (leaders.length <= term) leaders.push('')
  leaders[term] = server
  for (const { node, inTerm } of committed) {
    if (inTerm >= term) continue
    const index = trie.indexOf(node)
    const has = trie.indexOf(log) >= index && trie.ancestor(log, index) === node
    assert(has, `leader completeness: ${server} leads term ${term} without committed ${index}`)
  }
}

function commit(
  committed: { readonly node: number; readonly inTerm: number }[],
  { from, to, log, leads, term }: Fact,
  trie: Trie,
): void {
  for (let index = from + 1; index <= to; index++) {
    const node = trie.ancestor(log, index)
    const known = committed[index - 1]
    if (known !== undefined) {
      assert.equal(node, known.node, `state machine safety: two entries at ${index}`)
      continue
    }
    assert(leads, `only a leader commits first (${index})`)
    assert.equal(committed.length, index - 1)
    committed.push({ node, inTerm: term })
  }
}
