/**
 * The checks and the hand-over of a store, over a disk in memory that can be cut off anywhere and changed at will.
 *
 * LevelDB itself, and files, are in level-storage.test.ts and damage.test.ts.
 */
import { crc32 } from 'node:zlib'
import t from 'tap'
import { slotBytes } from '../../raft/database.ts'
import { bootstrap, type RaftError } from '../../raft/index.ts'
import type { LogStore } from '../../raft/log-store.ts'
import { openLogStore } from '../../raft/open-store.ts'
import { pack, unpack } from '../../raft/record.ts'
import { copyOf, openPlain, plainDisk, type Cut, type Plain } from './plain-disk.ts'
import {
  close,
  configuration,
  meta,
  persist,
  plain as plainEntries,
  range,
  read,
  readChunk,
  write,
} from './stored.ts'

interface Opened {
  readonly store: LogStore
  readonly told: string[]
}

function open(plain: Plain): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const told: string[] = []
    openLogStore(
      openPlain(plain),
      (error, store) =>
        store === undefined ? reject(error ?? new Error()) : resolve({ store, told }),
      event => told.push(event),
    )
  })
}

/** Opens until the disk is cut off, or to the end; `true` when it was cut off. */
function openCut(plain: Plain, cut: Omit<Cut, 'onCut'>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const disk = openPlain(plain, { ...cut, onCut: () => resolve(true) })
    openLogStore(disk, error => (error === undefined ? resolve(false) : reject(error)))
  })
}

/** A founder in term 3 that voted for c, with a snapshot at 8 and entries up to 12. */
async function founded(): Promise<Plain> {
  const plain = plainDisk()
  const { store } = await open(plain)
  await new Promise<RaftError | undefined>(resolve =>
    bootstrap(store, { configuration, commands: [] }, resolve),
  )
  const vote = { currentTerm: 3, votedFor: 'c' }
  await write(store, { persists: [persist({ currentTerm: 2, entries: range(2, 10) })] })
  await write(store, { persists: [persist(vote)] })
  await write(store, {
    chunks: [{ snapshotId: 's', chunk: 0, data: Buffer.from('state') }],
    snapshot: meta('s', 8, 1, 5),
  })
  await write(store, { persists: [persist({ ...vote, compactTo: 4, entries: range(11, 12, 3) })] })
  await settled(store)
  return plain
}

/** The mark of the last batch is written after the batch, and nobody waits for it. */
async function settled(store: LogStore): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await read(store)
}

function valueOf(plain: Plain, prefix: string): Buffer {
  for (const [key, value] of plain.databases.get('db') ?? [])
    if (key.startsWith(prefix)) return value
  throw new Error(`no value with ${prefix}`)
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 4
}

t.test('what was written is read, trusted, and nothing is told', async t => {
  const plain = await founded()
  const { store, told } = await open(plain)
  const state = await read(store)
  t.match(state, { currentTerm: 3, votedFor: 'c', trust: { kind: 'full' }, snapshot: { id: 's' } })
  t.strictSame(plainEntries(state?.entries), plainEntries([...range(5, 10), ...range(11, 12, 3)]))
  t.strictSame(told, [])
  t.equal(store.damage, undefined)
  t.equal(await readChunk(store, 's', 0), 'state')
})

/** What is done to a sound disk, and what its start makes of it. */
const damages: Record<
  string,
  { do: (plain: Plain, earlier: Plain) => void; trust: string; aside: number }
> = {
  'the database dropped records': {
    do: plain => plain.evidence.push('dropping 344 bytes'),
    trust: 'relearning',
    aside: 1,
  },
  'an entry has another value': {
    do: plain => flip(valueOf(plain, '02'), 8),
    trust: 'relearning',
    aside: 1,
  },
  'an entry in the middle is missing': {
    do: plain => void plain.databases.get('db')?.delete('020000000000000007'),
    trust: 'relearning',
    aside: 1,
  },
  'the last entry is missing': {
    do: plain => void plain.databases.get('db')?.delete('02000000000000000c'),
    trust: 'relearning',
    aside: 1,
  },
  'the tail has another value': {
    do: plain => flip(valueOf(plain, '00'), 6),
    trust: 'relearning',
    aside: 1,
  },
  'the tail is missing': {
    do: plain => void plain.databases.get('db')?.delete('00'),
    trust: 'relearning',
    aside: 1,
  },
  'the snapshot is described wrongly': {
    do: plain => flip(valueOf(plain, '01'), 6),
    trust: 'relearning',
    aside: 1,
  },
  'a chunk of the snapshot has another value': {
    do: plain => flip(valueOf(plain, '03'), 5),
    trust: 'relearning',
    aside: 1,
  },
  'the database is an earlier one, and all in it agrees': {
    do: (plain, earlier) =>
      void plain.databases.set('db', copyOf(earlier).databases.get('db') ?? new Map()),
    trust: 'relearning',
    aside: 1,
  },
  'the database is gone': {
    do: plain => void plain.databases.delete('db'),
    trust: 'relearning',
    aside: 0,
  },
  'the database and the mark are gone': {
    do: plain => {
      plain.databases.delete('db')
      plain.mark.fill(0)
    },
    trust: 'relearning',
    aside: 0,
  },
  'the database is broken, and so is the older vote': {
    do: plain => {
      plain.evidence.push('dropping 344 bytes')
      flip(plain.vote, 20)
    },
    trust: 'unknown',
    aside: 1,
  },
  'the database is gone, and so are both votes': {
    do: plain => {
      plain.databases.delete('db')
      plain.vote.fill(7)
    },
    trust: 'unknown',
    aside: 0,
  },
  'vote and mark are gone, and who knows whether the database is the last one': {
    do: plain => {
      plain.vote.fill(0)
      plain.mark.fill(0)
    },
    trust: 'unknown',
    aside: 0,
  },
}

for (const [what, { do: damage, trust, aside }] of Object.entries(damages)) {
  t.test(`${what}: ${trust}, whenever the start is cut off`, async t => {
    const sound = await founded()
    const earlier = copyOf(sound)
    const { store } = await open(sound)
    await write(store, {
      persists: [persist({ currentTerm: 3, votedFor: 'c', entries: range(13, 14, 3) })],
    })
    await settled(store)
    const broken = copyOf(sound)
    damage(broken, earlier)
    // Both outcomes of the call at which it is cut off, for every call of a start; then the start that follows.
    let cuts = 0
    for (let after = 0; ; after++) {
      let isCut = false
      for (const isLastDone of [false, true]) {
        const plain = copyOf(broken)
        isCut = await openCut(plain, { after, isLastDone })
        const { store: next } = await open(plain)
        const state = await read(next)
        const kept = [...plain.databases.keys()].filter(name => name !== 'db')
        if (state?.trust?.kind !== trust) t.equal(state?.trust?.kind, trust, `cut after ${after}`)
        if (kept.length !== aside) t.equal(kept.length, aside, `kept after ${after}`)
        if (plain.marker !== undefined) t.equal(plain.marker, undefined, `marker after ${after}`)
        if (trust === 'relearning') {
          if (state?.currentTerm !== 3 || state.votedFor !== 'c') t.match(state, { votedFor: 'c' })
          if (state?.entries.length !== 0) t.equal(state?.entries.length, 0)
        }
        if (next.damage === undefined) t.fail('says what was found')
        cuts++
      }
      if (!isCut) break
    }
    t.ok(cuts > 10, `${cuts} cuts`)
  })
}

t.test('a server that relearned is trusted from the batch that says so', async t => {
  const plain = await founded()
  plain.evidence.push('dropping 344 bytes')
  const { store, told } = await open(plain)
  t.strictSame(told, ['raft-damaged'])
  t.equal(store.damage, 'dropping 344 bytes')
  t.equal(
    await new Promise(resolve => bootstrap(store, { configuration, commands: [] }, resolve)).then(
      error => (error as RaftError).code,
    ),
    'RAFT_NOT_EMPTY',
    'it is no empty one',
  )
  const vote = { currentTerm: 4, votedFor: undefined }
  await write(store, { persists: [persist({ ...vote, entries: range(1, 3) })] })
  const { store: second, told: again } = await open(plain)
  t.match(await read(second), { trust: { kind: 'relearning' }, currentTerm: 4 })
  t.equal(second.damage, 'dropping 344 bytes')
  t.strictSame(again, [], 'told once')
  await write(second, { persists: [persist({ ...vote, trust: { kind: 'full' } })] })
  t.equal(second.damage, undefined)
  const { store: third } = await open(plain)
  t.match(await read(third), { trust: { kind: 'full' } })
  t.equal(third.damage, undefined)
  for (const trust of [{ kind: 'unknown' }, { kind: 'unknown', cleared: true }] as const) {
    await write(third, { persists: [persist({ ...vote, trust })] })
    t.strictSame((await read((await open(plain)).store))?.trust, trust)
  }
})

t.test('one file that is damaged while the others are whole is mended', async t => {
  const sound = await founded()
  for (const [what, damage] of Object.entries<(plain: Plain) => void>({
    'the newer vote': plain => flip(plain.vote.subarray(0, slotBytes), 20),
    'the older vote': plain => flip(plain.vote.subarray(slotBytes), 20),
    'both votes': plain => void plain.vote.fill(0),
    'the mark': plain => void plain.mark.fill(0),
    'a vote of before': plain => flip(plain.vote, 9),
  })) {
    const plain = copyOf(sound)
    damage(plain)
    const { store } = await open(plain)
    t.match(await read(store), { trust: { kind: 'full' }, currentTerm: 3, votedFor: 'c' }, what)
    t.equal(store.damage, undefined)
    await write(store, { persists: [persist({ currentTerm: 3, votedFor: 'c' })] })
    await settled(store)
    const { told } = await open(plain)
    t.strictSame(told, [], `${what}: whole again`)
  }
})

t.test('a vote that was written before its batch counts', async t => {
  const plain = await founded()
  const before = copyOf(plain)
  const { store } = await open(plain)
  await write(store, { persists: [persist({ currentTerm: 7, votedFor: 'a' })] })
  // The crash came between the two files.
  before.vote = Buffer.from(plain.vote)
  const { store: next } = await open(before)
  t.match(await read(next), { trust: { kind: 'full' }, currentTerm: 7, votedFor: 'a' })
})

t.test('a store of format 1 is read, and trusted', async t => {
  const plain = await founded()
  const tail = unpack(valueOf(plain, '00').subarray(4)) ?? []
  const body = pack([1, ...tail.slice(1, 7)])
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(crc32(body, 0))
  plain.databases.get('db')?.set('00', Buffer.concat([crc, body]))
  plain.mark.fill(0)
  const { store, told } = await open(plain)
  t.strictSame(told, [])
  const state = await read(store)
  t.match(state, { currentTerm: 3, votedFor: 'c', trust: { kind: 'full' }, snapshot: { id: 's' } })
  t.equal(state?.entries.length, 8)
  await write(store, { persists: [persist({ currentTerm: 4 })] })
  t.match(await read((await open(plain)).store), { currentTerm: 4, trust: { kind: 'full' } })
  body[1] = 9
  crc.writeUInt32BE(crc32(body, 0))
  plain.databases.get('db')?.set('00', Buffer.concat([crc, body]))
  await t.rejects(open(plain), { code: 'RAFT_STORE_VERSION' })
})

t.test('two votes in one term: neither is believed', async t => {
  const plain = await founded()
  const other = plainDisk()
  const { store } = await open(other)
  await write(store, { persists: [persist({ currentTerm: 3, votedFor: 'b' })] })
  plain.vote = other.vote
  const { store: next } = await open(plain)
  t.match(await read(next), { trust: { kind: 'unknown' } })
})

t.test('a truncated log is no log that was cut', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  const vote = { currentTerm: 4, votedFor: undefined }
  await write(store, { persists: [persist({ ...vote, truncateFrom: 10 })] })
  await settled(store)
  const { store: next, told } = await open(plain)
  t.strictSame(told, [])
  t.equal((await read(next))?.entries.at(-1)?.index, 9)
})

t.test('condemned: the next start relearns everything, and nothing is written before', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  await new Promise(resolve => store.condemn('the ledger is another', resolve))
  await t.rejects(write(store, { persists: [persist({ currentTerm: 9 })] }), {
    code: 'RAFT_DAMAGED',
  })
  const { store: next, told } = await open(plain)
  t.match(await read(next), { trust: { kind: 'relearning' }, currentTerm: 3, entries: [] })
  t.equal(next.damage, 'the ledger is another')
  t.strictSame(told, ['raft-damaged'])
  t.strictSame([...plain.databases.keys()].sort(), ['1', 'db'])
})

t.test(
  'a chunk that breaks while the server runs ends it, and the next start relearns',
  async t => {
    const plain = await founded()
    const { store } = await open(plain)
    flip(valueOf(plain, '03'), 5)
    await t.rejects(readChunk(store, 's', 0), { code: 'RAFT_DAMAGED' })
    await t.rejects(read(store), { code: 'RAFT_DAMAGED' })
    // Even if it reads well again.
    flip(valueOf(plain, '03'), 5)
    const { store: next } = await open(plain)
    t.match(await read(next), { trust: { kind: 'relearning' }, entries: [] })
  },
)

t.test('the fourth damage is refused until somebody has looked', async t => {
  const plain = await founded()
  for (let n = 1; n <= 3; n++) {
    plain.evidence.push('dropping 344 bytes')
    const { store } = await open(plain)
    t.match(await read(store), { trust: { kind: 'relearning' }, currentTerm: 3, votedFor: 'c' })
  }
  plain.evidence.push('dropping 344 bytes')
  const refused = { code: 'RAFT_DAMAGED', message: /3 damaged databases are kept/ }
  await t.rejects(open(plain), refused)
  plain.evidence = []
  await t.rejects(open(plain), refused, 'a second start too')
  plain.databases.delete('1')
  const { store } = await open(plain)
  t.match(await read(store), { trust: { kind: 'relearning' }, currentTerm: 3, votedFor: 'c' })
  t.strictSame([...plain.databases.keys()].sort(), ['2', '3', '4', 'db'])
})

t.test('a note of an older version, or a broken one, counts', async t => {
  for (const text of ['The log has a hole. Stored data is damaged.\n', '', '{"reason":']) {
    const plain = await founded()
    plain.marker = text
    const { store } = await open(plain)
    t.match(await read(store), { trust: { kind: 'relearning' }, currentTerm: 3 })
    t.type(store.damage, 'string')
  }
})

t.test('a snapshot that is being received goes on where it was', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  const of = meta('far', 100, 4, 40)
  const chunk = (n: number, snapshot = of) => {
    return { snapshotId: snapshot.id, chunk: n, data: Buffer.from(`chunk ${n}`), of: snapshot }
  }
  await write(store, { chunks: [chunk(0), chunk(1)] })
  await write(store, { chunks: [chunk(2)] })
  const { store: second } = await open(plain)
  t.strictSame((await read(second))?.partial, { snapshot: of, stored: 3 })
  t.equal(await readChunk(second, 'far', 2), 'chunk 2')
  const broken = copyOf(plain)
  const last = [...(broken.databases.get('db') ?? [])]
    .filter(([key]) => key.startsWith('03'))
    .sort()
  flip(last.find(([key]) => key.endsWith('0000000001'))?.[1] ?? Buffer.alloc(9), 6)
  const { store: shorter } = await open(broken)
  t.strictSame((await read(shorter))?.partial, { snapshot: of, stored: 1 }, 'as far as it is whole')
  await write(second, { chunks: [chunk(3)] })
  await write(second, {
    persists: [persist({ currentTerm: 3, votedFor: 'c', snapshot: of, compactTo: 100 })],
  })
  const { store: third } = await open(plain)
  t.match(await read(third), { partial: undefined, snapshot: { id: 'far' }, entries: [] })

  const newer = meta('newer', 200, 2, 20)
  const other = meta('other', 300, 2, 20)
  await write(third, { chunks: [chunk(0, newer)] })
  await write(third, { chunks: [chunk(0, other)] })
  const { store: fourth } = await open(plain)
  t.strictSame((await read(fourth))?.partial, { snapshot: other, stored: 1 })
  await write(fourth, { remove: ['other'] })
  const { store: fifth } = await open(plain)
  t.equal((await read(fifth))?.partial, undefined)
  await close(fifth)
})
