/**
 * A mutant: a bug on purpose, to see that a simulation or a scenario finds it.
 *
 * It is a patch of a few lines of the compiled product. One whose text no longer stands there exactly once is an
 * error, not a survivor: the bug has to be written anew where the code went.
 */
import assert from 'node:assert/strict'

/** Who hunts it: what simulates Raft, or what simulates the rules of seats and shares. */
export type Group = 'raft' | 'rules'

export interface Mutant {
  /** Kebab-case, unique. */
  readonly name: string
  /** What goes wrong, in a sentence. */
  readonly doc: string
  /** Real bugs that it puts back, by id (see `test/raft/bugs/table.ts`). */
  readonly ids: readonly string[]
  /** Absent: Raft's. */
  readonly group?: Group
  /** Compiled, relative to the build: `raft/core/state.js`. */
  readonly file: string
  /** Stands once in the file; how its words are spaced does not matter. */
  readonly find: string
  readonly put: string
}

export function groupOf({ group = 'raft' }: { readonly group?: Group }): Group {
  return group
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

/** No bug at all: what every killer must let pass. */
export const control: Mutant = {
  name: 'none',
  doc: 'The product as it is.',
  ids: [],
  file: 'raft/core/log.js',
  find: 'export class Log {',
  put: 'export class Log {',
}
