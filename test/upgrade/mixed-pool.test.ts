/** What a build of an earlier commit is made of. */
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { givePackages } from './mixed-pool.ts'

t.test('a program of before gets the packages of its own lock file', async t => {
  const lock = (name: string) => ({ 'package-lock.json': JSON.stringify({ packages: { name } }) })
  const folder = t.testdir({ now: lock('new'), same: lock('new'), other: lock('gone since') })
  const [now, same, other] = ['now', 'same', 'other'].map(name => join(folder, name))
  const installed: string[] = []
  for (const source of [same, other]) {
    givePackages(source ?? '', now ?? '', where => installed.push(where))
  }
  t.equal(readlinkSync(join(same ?? '', 'node_modules')), join(now ?? '', 'node_modules'))
  t.strictSame(installed, [other], 'what this one has no more is installed')
})
