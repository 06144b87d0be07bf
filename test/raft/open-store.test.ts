/**
 * What a start makes of every damage, wherever that start is cut off: over a disk in memory that can be.
 */
import { crc32 } from 'node:zlib'
import t from 'tap'
import { slotBytes } from '../../raft/database.ts'
import { pack, unpack } from '../../raft/record.ts'
import { flip, founded, open, openCut, settled, valueOf } from './founded.ts'
import { copyOf, plainDisk, type Plain } from './plain-disk.ts'
import { meta, persist, range, read, write } from './stored.ts'

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
  "a bit flips in a key, which is then no entry's": {
    do: plain => {
      const values = plain.databases.get('db')
      values?.set('02', valueOf(plain, '01'))
      values?.delete('01')
    },
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
    do: (plain, earlier) => {
      const values = copyOf(earlier).databases.get('db')
      if (values !== undefined) plain.databases.set('db', values)
    },
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

t.test('a vote that was believed once stands in both places', async t => {
  const plain = await founded()
  const before = copyOf(plain)
  const { store } = await open(plain)
  await write(store, { persists: [persist({ currentTerm: 7, votedFor: 'a' })] })
  // The crash came between the two files; the server starts, and answers by its vote.
  const vote = before.vote
  before.vote = Buffer.from(plain.vote)
  t.match(await read((await open(before)).store), { currentTerm: 7, votedFor: 'a' })
  // Then the file loses its last write.
  before.vote = vote
  t.match(await read((await open(before)).store), { currentTerm: 7, votedFor: 'a' })
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

t.test('a long log is read in parts, and every entry of it checked', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  const vote = { currentTerm: 3, votedFor: 'c' }
  const chunks = [{ snapshotId: 'later', chunk: 0, data: Buffer.from('state') }]
  await write(store, { persists: [persist({ ...vote, entries: range(13, 1600, 3) })] })
  await write(store, { chunks, snapshot: meta('later', 700, 1, 5) })
  await write(store, { persists: [persist({ ...vote, compactTo: 600 })] })
  await settled(store)
  const whole = await read((await open(copyOf(plain))).store)
  t.strictSame(
    whole?.entries.map(({ index }) => index),
    range(601, 1600).map(({ index }) => index),
  )
  const keys = [...(plain.databases.get('db') ?? new Map<string, Buffer>()).keys()]
  const entries = keys.filter(key => key.startsWith('02')).sort()
  t.ok(entries.length > 1100, 'what was compacted goes little by little')
  // Around where the first parts end, and the last one.
  for (const at of [511, 512, 513, 1023, 1024, entries.length - 1]) {
    for (const damage of ['missing', 'broken']) {
      const copy = copyOf(plain)
      const values = copy.databases.get('db')
      const key = entries[at] ?? ''
      const value = values?.get(key)
      if (value === undefined) t.fail('no such entry')
      else if (damage === 'broken') flip(value, 8)
      else values?.delete(key)
      const isOfLog = parseInt(key.slice(2), 16) > 600
      const kind = isOfLog ? 'relearning' : 'full'
      t.match(await read((await open(copy)).store), { trust: { kind } }, `${damage} at ${at}`)
    }
  }
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
