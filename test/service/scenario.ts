/**
 * Scenarios of the seat service, each to be run as a test or, without a test runner, as a hunter of mutants.
 *
 * A scenario plays no chance and says what it sees through `Checks`: tap's `t` is one, `throwing` another.
 */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

/** What a check says when it fails. */
type Note = [] | [message: string]

export interface Checks {
  ok(value: unknown, ...note: Note): unknown
  notOk(value: unknown, ...note: Note): unknown
  equal(found: unknown, wanted: unknown, ...note: Note): unknown
  strictSame(found: unknown, wanted: unknown, ...note: Note): unknown
  /** What `wanted` names is there and the same; more may be. */
  match(found: unknown, wanted: unknown, ...note: Note): unknown
  fail(message: string): unknown
}

export interface Scenario {
  readonly name: string
  readonly run: (t: Checks) => void
}

/** The first check that fails ends the scenario. */
export const throwing: Checks = {
  ok: (value, message?: string) => assert.ok(value, message),
  notOk: (value, message?: string) => assert.ok(value === undefined || value === false, message),
  equal: (found, wanted, message?: string) => assert.equal(found, wanted, message),
  strictSame: (found, wanted, message?: string) => assert.deepEqual(found, wanted, message),
  match: (found, wanted, message?: string) =>
    assert.ok(matches(found, wanted), message ?? shown(found)),
  fail: message => assert.fail(message),
}

function matches(found: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return isDeepStrictEqual(found, wanted)
  if (typeof found !== 'object' || found === null) return false
  const there = new Map(Object.entries(found))
  return Object.entries(wanted).every(([key, value]) => matches(there.get(key), value))
}

function shown(value: unknown): string {
  return `found ${JSON.stringify(value) ?? 'nothing'}`
}
