/** The transcripts as a killer: each seed is one file of them, in order; none beyond the last. */
import assert from 'node:assert/strict'
import { runTranscript, transcriptFiles } from '../raft/transcript.ts'
import type { Killer } from './killers.ts'

export function killerOf(files: readonly string[]): Killer {
  return {
    name: 'transcripts',
    run(seed) {
      const file = files[seed]
      const difference = file === undefined ? undefined : runTranscript(file)
      if (difference === undefined) return
      const { line, expected, found } = difference
      const text = `expected "${expected.trim()}", found "${found.trim()}"`
      assert.fail(`${difference.file}:${line}: ${text}`)
    },
  }
}

export const killer = killerOf(transcriptFiles())
