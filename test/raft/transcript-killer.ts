/** Runs every transcript: finds what makes a core behave in any of these scenarios other than it should. */
import assert from 'node:assert/strict'
import { runTranscript, transcriptFiles } from './transcript.ts'

export const killer = {
  name: 'transcripts',
  /** Chance plays no part in it: every seed is the same. Throws the first difference. */
  run(_seed: number): void {
    for (const file of transcriptFiles()) {
      const difference = runTranscript(file)
      if (difference === undefined) continue
      const { line, expected, found } = difference
      assert.fail(`${file}:${line}: expected "${expected}", found "${found}"`)
    }
  },
}
