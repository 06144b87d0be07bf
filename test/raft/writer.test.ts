/**
 * Group commit: what is written together, in which order, and what is told when.
 */
import t from 'tap'
import type { Persist } from '../../raft/core/effect.ts'
import {
  memoryStorage,
  RaftError,
  systemClock,
  type Batch,
  type Storage,
} from '../../raft/index.ts'
import { maxBatchBytes, maxBatchEntries, Writer } from '../../raft/writer.ts'
import { meta } from './stored.ts'

/** A storage that notes batches and finishes each when told to. */
function held(): { storage: Storage; batches: Batch[]; finish: (error?: RaftError) => void } {
  const batches: Batch[] = []
  let done: ((error: RaftError | undefined) => void) | undefined
  const storage: Storage = {
    ...memoryStorage(),
    write(batch, finished) {
      t.equal(done, undefined, 'one write at a time')
      batches.push(batch)
      done = finished
    },
  }
  return {
    storage,
    batches,
    finish(error) {
      const finished = done
      done = undefined
      finished?.(error)
    },
  }
}

function persist(seq: number, bytes = 0): Persist {
  const data = new Uint8Array(bytes)
  const entries = [{ kind: 'command', index: seq, term: 1, data } as const]
  return { seq, currentTerm: 1, votedFor: undefined, entries }
}

function writer(storage: Storage): { writer: Writer; told: string[] } {
  const told: string[] = []
  return {
    told,
    writer: new Writer({
      storage,
      clock: systemClock,
      onPersisted: seq => told.push(`persisted ${seq}`),
      onError: error => told.push(error.code),
    }),
  }
}

const seqs = (batch: Batch | undefined): unknown => batch?.persists?.map(({ seq }) => seq)

t.test('what comes while a write is under way leaves with the next, together', async t => {
  const { storage, batches, finish } = held()
  const { writer: w, told } = writer(storage)
  t.equal(w.since, undefined)
  for (let seq = 1; seq <= 4; seq++) w.persist(persist(seq))
  t.strictSame(batches.map(seqs), [[1]], 'an idle disk starts at once')
  t.type(w.since, 'number')
  t.strictSame(told, [])
  finish()
  t.strictSame(batches.map(seqs), [[1], [2, 3, 4]])
  t.strictSame(told, ['persisted 1'])
  finish()
  t.strictSame(told, ['persisted 1', 'persisted 4'])
  t.equal(w.since, undefined)
})

t.test(
  'a batch is bounded: it takes no part once it is large, and never a second large one',
  async t => {
    const { storage, batches, finish } = held()
    const { writer: w } = writer(storage)
    const half = maxBatchBytes / 2
    for (let seq = 1; seq <= 5; seq++) w.persist(persist(seq, half))
    w.persist(persist(6, 4 * maxBatchBytes))
    w.persist(persist(7, half))
    for (let i = 0; i < 5; i++) finish()
    t.strictSame(batches.map(seqs), [[1], [2, 3], [4, 5], [6], [7]])
  },
)

t.test('chunks of a snapshot are written one at a time', async t => {
  const { storage, batches, finish } = held()
  const { writer: w } = writer(storage)
  const chunk = (n: number) => ({ snapshotId: 's', chunk: n, data: new Uint8Array(48 * 1024) })
  for (let n = 0; n < 5; n++) w.chunk(chunk(n), () => {})
  for (let i = 0; i < 3; i++) finish()
  t.strictSame(
    batches.map(batch => batch.chunks?.length),
    [1, 1, 1, 1],
  )
})

t.test(
  'a chunk of an own snapshot goes along with entries, and needs no batch of its own',
  async t => {
    const { storage, batches, finish } = held()
    const { writer: w, told } = writer(storage)
    const chunk = { snapshotId: 's', chunk: 0, data: new Uint8Array() }
    for (let seq = 1; seq <= 2; seq++) w.persist(persist(seq))
    w.chunk(chunk, () => told.push('chunk'))
    w.persist(persist(3))
    // One that is received may take the place of another, and is not before what came sooner.
    w.chunk({ ...chunk, of: meta('s', 1, 1, 0) }, () => told.push('received'))
    for (let i = 0; i < 3; i++) finish()
    t.strictSame(batches.map(seqs), [[1], [2, 3], []])
    t.strictSame(
      batches.map(batch => batch.chunks?.length),
      [0, 1, 1],
    )
    t.strictSame(told, ['persisted 1', 'chunk', 'persisted 3', 'received'])
  },
)

t.test('very many small entries are written in several batches', async t => {
  const { storage, batches, finish } = held()
  const { writer: w } = writer(storage)
  for (let seq = 1; seq <= maxBatchEntries + 20; seq++) w.persist(persist(seq))
  for (let i = 0; i < 3; i++) finish()
  t.strictSame(
    batches.map(batch => batch.persists?.length),
    [1, maxBatchEntries, 19],
  )
})

t.test('nothing that was asked for later takes effect earlier', async t => {
  const { storage, batches, finish } = held()
  const { writer: w, told } = writer(storage)
  const chunk = { snapshotId: 's', chunk: 0, data: new Uint8Array() }
  w.persist(persist(1))
  w.chunk(chunk, () => told.push('chunk'))
  w.persist(persist(2))
  w.publish(meta('s', 1, 1, 0), () => told.push('published'))
  w.remove('s')
  // A transfer that begins anew must not lose its first chunk to the removal of the old ones.
  w.chunk(chunk, () => told.push('again'))
  w.persist(persist(3))
  finish()
  finish()
  t.equal(batches.length, 3)
  t.match(batches[1], { chunks: [{ chunk: 0 }], snapshot: { id: 's' }, remove: ['s'] })
  t.strictSame(seqs(batches[1]), [2])
  t.match(batches[2], { chunks: [{ chunk: 0 }], remove: [] })
  t.strictSame(told, ['persisted 1', 'chunk', 'published', 'persisted 2'])
  finish()
  t.strictSame(told.slice(4), ['again', 'persisted 3'])
})

t.test('after an error nothing is written, and nothing more told', async t => {
  const { storage, batches, finish } = held()
  const { writer: w, told } = writer(storage)
  w.persist(persist(1))
  w.persist(persist(2))
  finish(new RaftError('RAFT_STORAGE'))
  w.persist(persist(3))
  t.equal(batches.length, 1)
  t.strictSame(told, ['RAFT_STORAGE'])
  w.stop(() => told.push('idle'))
  t.strictSame(told, ['RAFT_STORAGE', 'idle'])
})

t.test('a stop waits for the write under way and drops the rest', async t => {
  const { storage, batches, finish } = held()
  const { writer: w, told } = writer(storage)
  w.persist(persist(1))
  w.persist(persist(2))
  w.stop(() => told.push('idle'))
  t.strictSame(told, [])
  finish()
  t.equal(batches.length, 1)
  t.strictSame(told, ['idle'])
})
