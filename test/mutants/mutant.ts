/**
 * A mutant: a bug on purpose, to see that a simulation or a scenario finds it.
 *
 * It is a patch of a few lines of the compiled product. One whose text no longer stands there exactly once is an
 * error, not a survivor: the bug has to be written anew where the code went.
 */
import assert from 'node:assert/strict'

export interface Mutant {
  /** Kebab-case, unique. */
  readonly name: string
  /** What goes wrong, in a sentence. */
  readonly doc: string
  /** Real bugs that it puts back, by id (see `test/raft/bugs/table.ts`). */
  readonly ids: readonly string[]
  /** Compiled, relative to the build: `raft/core/state.js`. */
  readonly file: string
  /** Stands once in the file; how its words are spaced does not matter. */
  readonly find: string
  readonly put: string
  /** Its quickest killer known, by name (see `killers.ts`): the one that `npm test` sends. */
  readonly by: string
  /** For `npm test`: a seed close before the one that kills it, where killers take seeds. */
  readonly seed?: number
}

/** The source with the bug in it. */
export function planted(source: string, { name, file, find, put }: Mutant): string {
  const words = find.trim().split(/\s+/).map(escaped)
  const pattern = new RegExp(words.join('\\s+'), 'g')
  const found = source.match(pattern)?.length ?? 0
  assert.equal(found, 1, `mutant ${name}: "${find}" stands ${found} times in ${file}`)
  return source.replace(pattern, () => put)
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
