/** Quiet hours as a hunter of mutants: what does harm in a storm may do none, and yet cost an election, or a message. */
import assert from 'node:assert/strict'
import { quietDay } from './raft-quiet.ts'

const hours = 0.2

export const killer = {
  name: 'quiet hours',
  run(seed: number): void {
    const { elections, commits } = quietDay(seed, 3 + 2 * (seed % 2), hours)
    assert.equal(elections, 0, 'the first leader stays')
    assert(commits > hours * 7000, 'a command every half second is committed')
  },
}
