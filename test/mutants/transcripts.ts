/** The transcripts as a killer: each seed is one file of them, in order; none beyond the last. */
import assert from 'node:assert/strict'
import { runTranscript, transcriptFiles } from '../raft/transcript.ts'
import type { Killer } from './killers.ts'

const files = transcriptFiles()

export const killer: Killer = {
  name: 'transcripts',
  run(seed) {
    const file = files[seed]
    const difference = file === undefined ? undefined : runTranscript(file)
    if (difference === undefined) return
    const { line, expected, found } = difference
    assert.fail(
      `${difference.file}:${line}: expected "${expected.trim()}", found "${found.trim()}"`,
    )
  },
}
