/** The transcripts as a killer: each seed is one file of them, in order; none beyond the last. */
import assert, { AssertionError } from 'node:assert/strict'
import { runTranscript, transcriptFiles } from '../raft/transcript.ts'
import type { Killer } from './killers.ts'

export function killerOf(files: readonly string[]): Killer {
  return {
    name: 'transcripts',
    run(seed) {
      const file = files[seed]
      const found = file === undefined ? undefined : differenceIn(file)
      if (found !== undefined) assert.fail(found)
    },
  }
}

function differenceIn(file: string): string | undefined {
  try {
    const { line, expected, found } = runTranscript(file) ?? {}
    if (line === undefined) return undefined
    return `${file}:${line}: expected "${expected?.trim()}", found "${found?.trim()}"`
  } catch (error) {
    // A command that could not be carried out as the file wants it: nobody could be elected, for one.
    const cause = error instanceof Error ? (error.cause ?? error) : error
    if (cause instanceof AssertionError) return `${file}: ${cause.message.split('\n', 1)[0]}`
    throw error
  }
}

export const killer = killerOf(transcriptFiles())
