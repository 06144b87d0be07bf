/**
 * Majorities, simple and joint: pure arithmetic (paper, 5.2, 5.3, 6).
 *
 * While a configuration is joint, nothing is decided but by a majority of each half. Only servers named in the
 * configuration are ever asked, so votes and acknowledgements of others weigh nothing.
 */
import assert from 'node:assert/strict'
import type { Configuration } from './configuration.ts'

/** The smallest number of `count` servers such that any two such groups share one. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1
}

/**
 * The largest value that a quorum has reached: of match indices, what may be committed; of round numbers, what is
 * confirmed; of times, when a quorum was last heard.
 */
export function quorumValue(
  { voters, outgoing }: Configuration,
  valueOf: (id: string) => number,
): number {
  const value = majorityValue(voters, valueOf)
  return outgoing.length === 0 ? value : Math.min(value, majorityValue(outgoing, valueOf))
}

function majorityValue(ids: readonly string[], valueOf: (id: string) => number): number {
  assert(ids.length > 0, 'no voters, no quorum')
  // Put in by size, the largest first: it is asked several times a step, and there are few.
  const values: number[] = []
  for (const id of ids) {
    const value = valueOf(id)
    let at = values.length
    for (; at > 0; at--) {
      const smaller = values[at - 1] ?? 0
      if (smaller >= value) break
      values[at] = smaller
    }
    values[at] = value
  }
  const value = values[majority(ids.length) - 1]
  assert(value !== undefined && !Number.isNaN(value))
  return value
}

/** Whether these votes win an election. */
export function isWon(
  { voters, outgoing }: Configuration,
  votes: ReadonlyMap<string, boolean>,
): boolean {
  const wins = (ids: readonly string[]): boolean =>
    ids.filter(id => votes.get(id) === true).length >= majority(ids.length)
  return wins(voters) && (outgoing.length === 0 || wins(outgoing))
}
