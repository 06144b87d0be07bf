/**
 * Snapshots on their way: the bytes between disks, wire and machines, when disks answer late or in another order.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import {
  memoryStorage,
  type RaftError,
  silentLogger,
  systemClock,
  systemRandom,
  type Storage,
} from '../../raft/index.ts'
import { restoreSnapshot } from '../../raft/restore.ts'
import { Snapshots } from '../../raft/snapshots.ts'
import { Writer } from '../../raft/writer.ts'
import { Counter } from './counter.ts'
import { meta, write } from './stored.ts'
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

t.test(
  'a snapshot is restored chunk by chunk, and the old state is in force until the last',
  async t => {
    const storage = memoryStorage()
    const machine = new Counter(1)
    const source = new Counter(1)
    source.lines = ['one', 'two', 'three']
    const chunks = [...source.snapshot()]
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0)
    const snapshot = meta('s', 9, chunks.length, bytes)
    await write(storage, {
      chunks: chunks.map((data, chunk) => ({ snapshotId: 's', chunk, data })),
    })
    machine.lines = ['old']
    const seen: string[][] = []
    const turns: (() => void)[] = []
    const clock = { ...systemClock, defer: (run: () => void) => void turns.push(run) }
    const restore = (
      meta: typeof snapshot,
      isStopped: () => boolean,
    ): Promise<RaftError | undefined> =>
      new Promise(resolve => {
        restoreSnapshot({ machine, storage, clock, snapshot: meta, isStopped }, resolve)
      })
    /** One turn of the loop after the other, as long as there are any. */
    const turn = async (): Promise<void> => {
      for (;;) {
        await new Promise(resolve => setImmediate(resolve))
        const next = turns.shift()
        if (next === undefined) return
        seen.push(machine.lines)
        next()
      }
    }
    const wrong = restore({ ...snapshot, bytes: bytes + 1 }, () => false)
    await turn()
    t.match(await wrong, { code: 'RAFT_DAMAGED' })
    t.strictSame(machine.lines, ['old'])
    seen.length = 0
    void restore(snapshot, () => seen.length === 2)
    await turn()
    t.strictSame(machine.lines, ['old'], 'one that is broken off leaves no trace')
    seen.length = 0
    const whole = restore(snapshot, () => false)
    await turn()
    t.equal(await whole, undefined)
    t.strictSame(seen, [['old'], ['old'], ['old']])
    t.strictSame(machine.lines, source.lines)
  },
)
