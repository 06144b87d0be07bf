/**
 * Servers whose states differ (I5): who stops, who only says so, and that nobody is accused by what is late, foreign or
 * hashed in another way.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { configurationOf } from '../../raft/index.ts'
import { decodeDigest, Digests, encodeDigest, type Disagreement } from '../../raft/digest.ts'
import { World, worldSettings, type Process } from './world.ts'

const T = worldSettings.electionTimeoutMs

function digests(voters: readonly string[]) {
  const wrong: Disagreement[] = []
  const differs: Disagreement[] = []
  const told: unknown[] = []
  const one = new Digests({
    id: 'a',
    configuration: () => configurationOf(voters, ['learner']),
    tell: digest => told.push(digest),
    onWrong: at => wrong.push(at),
    onDiffers: at => differs.push(at),
  })
  return { one, wrong, differs, told }
}

t.test('one that differs from a majority is wrong, whoever is heard first', async t => {
  const { one, wrong, differs, told } = digests(['a', 'b', 'c'])
  one.heard({ from: 'b', index: 8, hash: 'x' })
  one.own(8, 'y')
  t.strictSame(told, [{ from: 'a', index: 8, hash: 'y' }])
  t.strictSame(differs, [{ index: 8, own: 'y', other: 'x', servers: ['b'] }])
  t.strictSame(one.differing, ['b'])
  t.strictSame(wrong, [])
  one.heard({ from: 'c', index: 8, hash: 'x' })
  t.strictSame(wrong, [{ index: 8, own: 'y', other: 'x', servers: ['b', 'c'] }])
})

t.test(
  'learners and strangers make no majority, and a server that agrees again is fine',
  async t => {
    const { one, wrong, differs } = digests(['a', 'b', 'c'])
    one.own(8, 'y')
    for (const from of ['b', 'learner', 'stranger', 'a']) one.heard({ from, index: 8, hash: 'x' })
    t.strictSame(wrong, [])
    t.strictSame(one.differing, ['b', 'learner'])
    one.own(16, 'z')
    one.heard({ from: 'b', index: 16, hash: 'z' })
    t.strictSame(one.differing, ['learner'])
    t.equal(differs.length, 2)
  },
)

t.test(
  'other indexes, other ways of hashing and what was before a snapshot accuse nobody',
  async t => {
    const { one, wrong, differs } = digests(['a', 'b', 'c'])
    one.own(8, 'v1:x')
    for (const from of ['b', 'c']) {
      one.heard({ from, index: 9, hash: 'v1:y' })
      one.heard({ from, index: 8, hash: 'v2:y' })
    }
    one.own(16, 'v1:x')
    one.restored()
    for (const from of ['b', 'c']) one.heard({ from, index: 16, hash: 'v1:y' })
    t.strictSame([...wrong, ...differs], [])
    for (let index = 1; index < 100; index++) one.heard({ from: 'b', index, hash: 'v1:y' })
    one.own(3, 'v1:x')
    t.strictSame(differs, [], 'what is long past is forgotten')
  },
)

t.test('bytes: what is damaged or of another cluster is no digest', async t => {
  const digest = { from: 'a', index: 7, hash: 'x' }
  const bytes = encodeDigest(digest, 5)
  t.strictSame(decodeDigest(bytes, 5), digest)
  t.equal(decodeDigest(bytes, 6), undefined)
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Uint8Array.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ 4
    t.equal(decodeDigest(flipped, 5), undefined)
  }
  t.equal(decodeDigest(encodeDigest({ ...digest, hash: 'x'.repeat(257) }, 5), 5), undefined)
})

function founded(seed: number, ids: readonly string[]): { world: World; odd: Process } {
  const world = new World(seed, { compareEveryEntries: 8 })
  world.found(ids)
  world.until(() => world.leader !== undefined)
  const odd = [...world.processes.values()].find(one => one !== world.leader)
  assert(odd !== undefined)
  for (let n = 0; n < 4; n++) say(world, `before ${n}`)
  return { world, odd }
}

function say(world: World, text: string): void {
  const { leader } = world
  assert(leader !== undefined)
  world.propose(leader, text)
  world.run(20)
}

t.test('a server that goes another way stops, and is taught anew; the others go on', async t => {
  const { world, odd } = founded(31, ['a', 'b', 'c'])
  odd.machine.lines[0] = 'something else'
  for (let n = 0; n < 20; n++) say(world, `after ${n}`)
  t.match(odd.fatal, [{ code: 'RAFT_DIVERGED' }])
  t.equal(world.leader?.machine.lines.length, 24)
  t.strictSame(world.leader?.fatal, [])
  world.crash(odd.id)
  const again = world.start(odd.id)
  const seen: string[] = []
  again.node.onStatus(({ trust }) => trust !== seen.at(-1) && seen.push(trust))
  t.ok(
    world.until(() => seen.length > 1 && again.node.status.trust === 'full', 11 * T),
    'its word does not count until it was taught again',
  )
  t.strictSame(again.machine.lines, world.leader?.machine.lines)
  for (let n = 0; n < 20; n++) say(world, `again ${n}`)
  for (const { fatal, node } of world.processes.values()) {
    t.strictSame(fatal, [])
    t.strictSame(node.status.differing, [])
  }
})

t.test('of two servers nobody can tell which is right: both say so, and none stops', async t => {
  const { world, odd } = founded(32, ['a', 'b'])
  odd.machine.lines[0] = 'something else'
  for (let n = 0; n < 20; n++) say(world, `after ${n}`)
  for (const { id, fatal, node } of world.processes.values()) {
    t.strictSame(fatal, [])
    t.strictSame(node.status.differing, id === 'a' ? ['b'] : ['a'])
  }
})
