/** Which killer finds a mutant quickest: a file beside the sources, so that `npm test` needs no search. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, projectOf } from './variant.ts'

export interface Hint {
  readonly killer: string
  /** One of its scenarios, by name. */
  readonly test?: string
  /** Or a seed. */
  readonly seed?: number
}

export type Hints = Readonly<Record<string, Hint>>

/** The project may be two folders above the build: `.build/NAME`. */
const path = join(projectOf(build), 'test/mutants/hints.json')

export function readHints(): Hints {
  if (!existsSync(path)) return {}
  const hints: unknown = JSON.parse(readFileSync(path, 'utf8'))
  assert(typeof hints === 'object' && hints !== null)
  return hints as Hints
}

/** Adds to what is known, in the order of the names. */
export function writeHints(found: Hints): void {
  const all = { ...readHints(), ...found }
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(path, `${JSON.stringify(sorted, undefined, 2)}\n`)
}
