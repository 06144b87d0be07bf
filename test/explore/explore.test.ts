/**
 * Some of the states of small clusters, in the time that a test run has; `npm run explore` looks at more.
 *
 * And can the search fail? Two bugs from the paper are put back into a copy of the core: it has to find the way to each.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { makeVariant } from '../mutants/variant.ts'
import { mutantNamed } from '../mutants/registry.ts'
import { Explorer, type Result } from './explore.ts'
import type { killer } from './killer.ts'
import { scopes, tiny } from './scope.ts'

const limit = 20_000

// A bound for a loaded machine; a tenth of it is usual.
t.setTimeout(240_000)

t.test('small clusters keep their promises in every state', t => {
  const results = scopes.map(scope => new Explorer(scope).run(limit))
  const sum = (count: (result: Result) => number) =>
    results.reduce((total, result) => total + count(result), 0)
  t.comment(`${sum(({ states }) => states)} states, ${sum(({ edges }) => edges)} ways`)
  t.ok(sum(({ states }) => states) >= 100_000 || results.every(({ complete }) => complete))
  t.ok(sum(({ twoLeaders }) => twoLeaders) > 0, 'two servers led, of different terms')
  const kinds = ['truncated', 'configurationRolledBack', 'unsyncedLost', 'writesMerged'] as const
  for (const kind of [...kinds, 'snapshotInstalled', 'jointCommitted'] as const) {
    const count = sum(({ seen }) => seen[kind])
    t.ok(count > 0, `${kind}: ${count}`)
  }
  t.end()
})

t.test('a small start is looked at whole', t => {
  const { complete, states, seen } = new Explorer(tiny).run(Infinity)
  t.ok(complete, `${states} states`)
  t.ok(seen.truncated > 0)
  t.end()
})

t.test('the same search finds the same', t => {
  const [scope] = scopes
  if (scope === undefined) throw new Error('nowhere to start')
  t.same(new Explorer(scope).run(3000), new Explorer(scope).run(3000))
  t.end()
})

const bugs = {
  'earlier-term-committed-by-counting': /leader completeness|state machine safety/,
  'vote-in-memory-alone': /election safety/,
} as const

for (const [name, finding] of Object.entries(bugs)) {
  t.test(`it finds ${name}`, async t => {
    const variant = makeVariant(mutantNamed(name))
    t.teardown(() => variant.remove())
    const url = pathToFileURL(join(variant.folder, 'test/explore/killer.js')).href
    const module = (await import(url)) as { readonly killer: typeof killer }
    t.throws(() => scopes.forEach((_, seed) => module.killer.run(seed)), { message: finding })
  })
}
