/** What can be seen of a ledger between two commands, and what must hold from one to the next. */
import { strict as assert } from 'node:assert'
import type { Command } from '../../lib/ledger/command.ts'
import type { Applied } from '../../lib/ledger/ledger.ts'

export interface Picture {
  /** Feature -> its distribution as text, and shares. */
  readonly tables: Map<string, { text: string; shares: Map<string, number> }>
  readonly live: ReadonlySet<string>
  readonly leaving: ReadonlySet<string>
}

/** R1: a live server's share shrinks by its own doing only: what it returned, lent, offered, or a seat moved away. */
export function checkGivers(
  before: Picture,
  after: Picture,
  { body }: Command,
  { result }: Applied,
): void {
  for (const [feature, { shares }] of before.tables) {
    for (const server of before.leaving) {
      const gained =
        (after.tables.get(feature)?.shares.get(server) ?? 0) - (shares.get(server) ?? 0)
      assert(
        gained <= 0,
        `${body.type} gave ${String(gained)} of ${feature} to ${server}, which leaves`,
      )
    }
    for (const [server, share] of shares) {
      const lost = share - (after.tables.get(feature)?.shares.get(server) ?? 0)
      if (lost <= 0 || !before.live.has(server) || !after.live.has(server)) continue
      const own =
        ((body.type === 'return' || body.type === 'lend') && body.server === server
          ? body.count
          : 0) +
        ('taken' in result && body.type === 'borrow'
          ? result.taken
              .filter(taken => taken.server === server)
              .reduce((sum, { count }) => sum + count, 0)
          : 0)
      assert(lost <= own, `${body.type} took ${String(lost)} of ${server}'s ${feature}`)
    }
  }
}

/** The revision counts each change of a distribution, and the answer names the features. */
export function checkChanged(before: Picture, after: Picture, applied: Applied): void {
  for (const name of new Set([...before.tables.keys(), ...after.tables.keys()])) {
    if (before.tables.get(name)?.text === after.tables.get(name)?.text) continue
    assert(applied.changed.includes(name), `${name} changed in silence`)
  }
  const grown = applied.changed.length > 0 ? 1 : 0
  assert.equal(applied.revision, applied.revisionBefore + grown)
  if (applied.result.ok && !applied.duplicate) {
    assert.equal(applied.result.revision, applied.revision)
  }
}
