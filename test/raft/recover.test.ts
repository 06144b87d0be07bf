// Offline operations on a store: founding it from a snapshot, and going on from one survivor.
import t from 'tap'
import { bootstrap } from '../../raft/bootstrap.ts'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { PersistedState } from '../../raft/core/input.ts'
import type { RaftError } from '../../raft/error.ts'
import { memoryDisk, memoryStorage } from '../../raft/memory-storage.ts'
import { recover, remainsOf, seed } from '../../raft/recover.ts'
import type { Storage } from '../../raft/storage.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

function run(
  call: (done: (error: RaftError | undefined) => void) => void,
): Promise<string | undefined> {
  return new Promise(resolve => call(error => resolve(error?.code)))
}

function read(storage: Storage): Promise<PersistedState | undefined> {
  return new Promise((resolve, reject) => {
    storage.read((error, state) => (error === undefined ? resolve(state) : reject(error)))
  })
}

const snapshot = {
  chunks: [bytes('one'), bytes('two')],
  index: 40,
  term: 3,
  voters: ['a', 'b'],
  commands: [bytes('begin')],
}

t.test('a store is founded on a snapshot, once', async t => {
  const storage = memoryStorage()
  t.equal(await run(done => seed(storage, snapshot, done)), undefined)
  const state = await read(storage)
  t.match(state, {
    currentTerm: 3,
    votedFor: undefined,
    trust: { kind: 'full' },
    snapshot: {
      lastIncludedIndex: 40,
      lastIncludedTerm: 3,
      configuration: configurationOf(['a', 'b']),
      bytes: 6,
      chunks: 2,
    },
    entries: [{ kind: 'command', index: 41, term: 3 }],
  })
  const id = state?.snapshot?.id ?? ''
  const chunk = await new Promise(resolve =>
    storage.readChunk(id, 1, (_error, data) => resolve(data)),
  )
  t.strictSame(chunk, bytes('two'))
  t.equal(await run(done => seed(storage, snapshot, done)), 'RAFT_NOT_EMPTY')
  t.match(remainsOf(state), { lastIndex: 41, lastTerm: 3, voters: ['a', 'b'], trust: 'full' })
})

t.test(
  'a survivor becomes the only voter, in a later term, with all that its log holds',
  async t => {
    const disk = memoryDisk()
    const storage = memoryStorage({ disk })
    const configuration = configurationOf(['a', 'b', 'c'], ['d'])
    await run(done => bootstrap(storage, { configuration, commands: [bytes('first')] }, done))
    t.match(remainsOf(await read(storage)), {
      lastIndex: 2,
      voters: ['a', 'b', 'c'],
      learners: ['d'],
    })
    const options = { voter: 'a', commands: [bytes('recover')] }
    t.equal(await run(done => recover(storage, options, done)), undefined)
    t.match((await read(memoryStorage({ disk })))?.entries, [
      { index: 1, term: 1 },
      { index: 2, term: 1, data: bytes('first') },
      { kind: 'configuration', index: 3, term: 2, configuration: configurationOf(['a']) },
      { kind: 'command', index: 4, term: 2, data: bytes('recover') },
    ])
    t.match(await read(storage), { currentTerm: 2, votedFor: undefined, trust: { kind: 'full' } })
    t.equal(await run(done => recover(storage, options, done)), undefined, 'and again')
    t.match(remainsOf(await read(storage)), { lastIndex: 6, lastTerm: 3, voters: ['a'] })
  },
)

t.test('an empty store has nothing to go on from', async t => {
  const storage = memoryStorage()
  t.equal(remainsOf(await read(storage)), undefined)
  const options = { voter: 'a', commands: [] }
  t.equal(await run(done => recover(storage, options, done)), 'RAFT_BAD_SETTING')
})
