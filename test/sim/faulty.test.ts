/**
 * The simulated disk harms as a real one does, and the real store above it notices what it must.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { bootstrap } from '../../raft/bootstrap.ts'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { PersistedState } from '../../raft/core/input.ts'
import type { RaftError } from '../../raft/error.ts'
import { openLogStore } from '../../raft/open-store.ts'
import type { Batch, Storage } from '../../raft/storage.ts'
import { FaultyDisk, type DiskState } from './faulty-disk.ts'
import { damages, Medium } from './faulty-medium.ts'
import { SimProcess } from './node-process.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualTime } from './virtual-clock.ts'

/** One server's disk, and the process that runs on it now. */
class Bench {
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly medium = new Medium()
  readonly state: DiskState = { slowness: 1, stalled: false, error: undefined, low: false }
  disk: FaultyDisk | undefined
  process: SimProcess | undefined
  store: Storage | undefined

  constructor(seed: string) {
    this.random = new SeededRandom(seed)
  }

  /** Calls what answers in a callback, and lets time pass until it does. */
  call<T>(begin: (done: (error: RaftError | undefined, value?: T) => void) => void): T | undefined {
    const answers: { error: RaftError | undefined; value: T | undefined }[] = []
    begin((error, value) => answers.push({ error, value }))
    assert(
      this.time.runUntil(() => answers.length > 0, 10_000),
      'an answer',
    )
    const [answer] = answers
    if (answer?.error !== undefined) throw answer.error
    return answer?.value
  }

  open(): Storage {
    const { time, medium, state, random } = this
    const process = new SimProcess({ time, rate: 1, napMs: 0, count() {}, onDeath() {} })
    const latencyMs = [0.1, 1] as const
    const disk = new FaultyDisk({
      ...{ time, medium, state, random, process, latencyMs },
      onDone() {},
    })
    this.disk = disk
    this.process = process
    const store = this.call<Storage>(done => openLogStore(disk, done))
    assert(store !== undefined)
    this.store = store
    return store
  }

  crash(): void {
    this.process?.kill()
    this.disk?.crash()
  }

  write(batch: Batch): void {
    const { store } = this
    assert(store !== undefined)
    this.call(done => store.write(batch, done))
  }

  read(): PersistedState | undefined {
    const { store } = this
    assert(store !== undefined)
    return this.call<PersistedState>(done => store.read(done))
  }
}

/** A founder that has written `count` entries, and voted. */
function founder(seed: string, count: number): Bench {
  const bench = new Bench(seed)
  const store = bench.open()
  const configuration = configurationOf(['a', 'b', 'c'])
  bench.call(done => bootstrap(store, { configuration, commands: [] }, done))
  for (let index = 2; index <= count; index++) {
    const entry = { kind: 'noop', index, term: 2 } as const
    const persist = { seq: index, currentTerm: 2, votedFor: 'b', entries: [entry] }
    bench.write({ persists: [persist] })
  }
  bench.time.run(10)
  return bench
}

t.test('without a damage a crash loses nothing that was told', t => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = founder(`crash ${seed}`, 60)
    const { store } = bench
    const entry = { kind: 'noop', index: 61, term: 2 } as const
    const persist = { seq: 61, currentTerm: 3, votedFor: 'c', entries: [entry] }
    store?.write({ persists: [persist] }, () => {})
    bench.time.run(bench.random.next() * 2)
    bench.crash()
    bench.open()
    const { trust, currentTerm, entries = [] } = bench.read() ?? {}
    assert.equal(trust?.kind, 'full')
    assert(entries.length === 60 || entries.length === 61)
    assert(currentTerm === 2 || currentTerm === 3)
  }
  t.pass('held')
  t.end()
})

/** What the store makes of each, every time that there is something to hit. */
const expected: Record<(typeof damages)[number], readonly string[]> = {
  'flip-log': ['relearning'],
  hole: ['relearning'],
  'flip-last': ['relearning'],
  'torn-last': ['relearning'],
  'cut-tail': ['relearning'],
  // A record of an entry that is in the log as well may hide it.
  'flip-table': ['relearning', 'full'],
  'flip-key': ['relearning', 'full'],
  'no-current': ['relearning'],
  'no-database': ['relearning'],
  'vote-slot': ['full'],
  'vote-file': ['full'],
  'vote-old': ['full'],
  'mark-file': ['full'],
  'mark-old': ['full'],
}

for (const damage of damages) {
  t.test(`${damage}: ${expected[damage].join(' or ')}`, t => {
    let hits = 0
    const seen = new Set<string>()
    for (let seed = 0; seed < 15; seed++) {
      const bench = founder(`${damage} ${seed}`, 50)
      bench.crash()
      if (!bench.medium.damage(damage, bench.random)) continue
      hits++
      bench.open()
      const state = bench.read()
      seen.add(state?.trust?.kind ?? 'none')
      // The vote is never forgotten.
      assert.equal(state?.currentTerm, 2)
      assert.equal(state.votedFor, 'b')
      if (state.trust?.kind === 'full') assert.equal(state.entries.length, 50, 'nothing is missing')
      else assert.equal(state.entries.length, 0)
    }
    t.ok(hits > 5, `${hits} hits`)
    for (const trust of seen) t.ok(expected[damage].includes(trust), trust)
    t.end()
  })
}

t.test('a wiped server knows nothing, and is not trusted', t => {
  const bench = founder('wipe', 10)
  bench.crash()
  bench.medium.wipe()
  bench.open()
  t.equal(bench.read(), undefined)
  t.end()
})

t.test('a full disk is told once by the database, and what follows is lost', t => {
  const bench = founder('full', 10)
  const entry = (index: number) => ({ kind: 'noop', index, term: 2 }) as const
  const persist = (index: number) => {
    return { seq: index, currentTerm: 2, votedFor: 'b', entries: [entry(index)] }
  }
  bench.state.error = 'full'
  t.throws(() => bench.write({ persists: [persist(11)] }), { code: 'RAFT_STORAGE' })
  bench.state.error = undefined
  // The store itself writes nothing more; the database would take it, and lose it.
  t.throws(() => bench.write({ persists: [persist(12)] }), { code: 'RAFT_STORAGE' })
  bench.crash()
  bench.open()
  t.match(bench.read(), { trust: { kind: 'full' }, entries: { length: 10 } })
  t.end()
})
