/**
 * Every bug of the table: its regressions pass, all that the table names exists, and nothing is left out.
 *
 * That each regression fails when its bug is put back is `test/mutants/relapse.test.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mutants } from '../../mutants/registry.ts'
import { allRegressions, bugFolder, runRegression } from './regressions.ts'
import { bugs, ids, rendered } from './table.ts'

const names = await allRegressions()

for (const name of names) {
  t.test(name, async t => {
    await runRegression(name)
    t.pass('the bug is not here')
  })
}

t.test('every id has its rows, and every row what it names', async t => {
  const project = join(bugFolder(), '../../..')
  for (const id of ids)
    t.ok(
      bugs.some(bug => bug.id === id),
      id,
    )
  for (const { id, source, tests = [], mutants: patches = [], absent, also = [] } of bugs) {
    const row = `${id} ${source}`
    t.ok(ids.includes(id), row)
    t.equal(absent === undefined, tests.length > 0, `${row}: covered, or cannot be`)
    t.equal(absent === undefined, patches.length > 0, `${row}: can be put back`)
    for (const name of tests) t.ok(names.includes(name), `${row}: ${name}`)
    for (const path of also) t.ok(existsSync(join(project, path)), `${row}: ${path}`)
    for (const name of patches) {
      const mutant = mutants.find(one => one.name === name)
      t.ok(mutant?.ids.includes(id), `${row}: ${name}`)
    }
  }
})

t.test('no regression is without its bug', async t => {
  const named = new Set(bugs.flatMap(({ tests = [] }) => tests))
  t.strictSame(
    names.filter(name => !named.has(name)),
    [],
  )
})

t.test('README.md is this table', async t => {
  const path = join(bugFolder(), 'README.md')
  if (process.env['UPDATE'] === '1') writeFileSync(path, rendered())
  t.equal(readFileSync(path, 'utf8'), rendered())
})

t.test('transcripts tell what they say they tell', async t => {
  for (const name of names.filter(one => one.endsWith('.txt'))) {
    const text = readFileSync(join(bugFolder(), name), 'utf8')
    t.notMatch(text, /NOTHING THERE|VIOLATION/, name)
  }
})
