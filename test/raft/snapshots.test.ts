/**
 * Snapshots on their way: the bytes between disks, wire and machines, when disks answer late or in another order.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import {
  memoryStorage,
  silentLogger,
  systemClock,
  systemRandom,
  type Storage,
} from '../../raft/index.ts'
import { Snapshots } from '../../raft/snapshots.ts'
import { Writer } from '../../raft/writer.ts'
import { Counter } from './counter.ts'
import { meta } from './stored.ts'
import { World, worldSettings } from './world.ts'

const T = worldSettings.electionTimeoutMs

t.test('chunks leave in order, in whatever order the disk reads them', async t => {
  const reads: (() => void)[] = []
  const storage: Storage = {
    ...memoryStorage(),
    readChunk(_, chunk, done) {
      reads.push(() => done(undefined, Uint8Array.of(chunk)))
    },
  }
  const sent: number[] = []
  const writer = new Writer({
    compactedTo: 0,
    storage,
    clock: systemClock,
    onPersisted() {},
    onError: assert.ifError,
  })
  const snapshots = new Snapshots({
    ...{ storage, writer, clock: systemClock, random: systemRandom, log: silentLogger },
    machine: new Counter(7),
    chunkBytes: 100,
    newest: undefined,
    onSaved() {},
    onStored() {},
    onChunk: ({ chunk, data }) => {
      t.equal(data[0], chunk)
      sent.push(chunk)
    },
    onError: assert.ifError,
  })
  const snapshot = meta('s', 9, 4, 4)
  const head = { type: 'installSnapshot', from: 'a', to: 'b', term: 1, round: 1, snapshot } as const
  for (let chunk = 0; chunk < 4; chunk++) snapshots.send({ ...head, chunk })
  for (const n of [2, 0, 3, 1]) reads[n]?.()
  t.strictSame(sent, [0, 1, 2, 3])
})

t.test('a snapshot is kept while the machine still reads it, though a newer one came', async t => {
  const world = new World(21, { settings: { ...worldSettings, trailingEntries: 0 } })
  world.found(['a', 'b', 'c'])
  world.until(() => world.leader !== undefined)
  const { leader } = world
  assert(leader !== undefined)
  const behind = [...world.processes.values()].find(process => process !== leader)
  assert(behind !== undefined)
  behind.heldReads = []
  let sent = 0
  const installed = (): number => behind.node.status.snapshotIndex
  for (let round = 0; round < 2; round++) {
    behind.isolated = true
    for (let n = 0; n < 100; n++) world.propose(leader, `c${sent++}`)
    world.run(500)
    const before = installed()
    behind.isolated = false
    t.ok(world.until(() => installed() > before, 15 * T))
  }
  world.run(T)
  world.releaseReads(behind)
  t.ok(world.until(() => behind.machine.lines.length === sent, 5 * T))
  t.strictSame(behind.fatal, [])
})
