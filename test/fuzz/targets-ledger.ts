/** Commands, and what becomes of them in a ledger; books; snapshots with the history in them. */
import { AssertionError } from 'node:assert'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr'
import { SeatBook } from '../../lib/book/book.ts'
import { commandCodec } from '../../lib/command-codec.ts'
import type { Command, CommandBody } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import type { Row } from '../../lib/ledger/snapshot.ts'
import { decodeBook, encodeBook } from '../../lib/server/book-file.ts'
import { rowsOf } from '../../lib/server/ledger-machine.ts'
import { decodeHandOver, encodeHandOver, takeOver } from '../../lib/service/hand-over.ts'
import { readSnapshotFile } from '../../lib/snapshot-file.ts'
import { content, epoch, Pool } from '../ledger/pool.ts'
import { codedOrLater, target, type Target } from './target.ts'

const packr = new Packr({ useRecords: false, int64AsType: 'number' })
const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)

/** A pool in the middle of its life: features of all kinds, a move, demand, codes, history. */
function livedPool(): Pool {
  const pool = new Pool()
  pool.run({ type: 'add-feature', feature: 'cad', allocations: 9 })
  pool.run({ type: 'add-code', text: 'a.b.c', content: content({ feature: 'sim@2026' }) })
  pool.run({ type: 'change-criteria', feature: 'cad', targets: { a: 5, b: 4 } })
  for (let n = 0; n < 4; n++) {
    const usage = [{ feature: 'cad', inUse: n, granted: n, denied: 1, reasons: [1, 0, 0, 0] }]
    const walls = epoch + n * 60_000
    pool.tickWith(['a', 'b', 'c'].map(server => pool.listing(server, { usage, wallMs: walls })))
  }
  pool.run({ ...borrow, needed: 1, wanted: 4 })
  return pool
}

const borrow = {
  ...({ type: 'borrow', feature: 'cad', to: 'a', incarnation: 1, needed: 1 } as const),
  ...({ wanted: 2, cause: 'request', queue: 0 } as const),
}
const of = { feature: 'cad', server: 'a', incarnation: 1, count: 1 } as const
const moved = {
  ...{ seatId: 's', feature: 'cad', server: 'b', incarnation: 2, seatTick: 4, lastTick: 9 },
}
const vendor = { kid: 'k', name: 'n', publicKey: 'p' }
const bodies: readonly CommandBody[] = [
  { type: 'hello', server: 'a', bootId: 'boot-2' },
  { type: 'leave', server: 'a', incarnation: 1 },
  borrow,
  { ...borrow, to: 'c', incarnation: 3, cause: 'update', move: moved, queue: 1 },
  { ...borrow, offer: { server: 'b', incarnation: 2, count: 1 }, queue: 3 },
  { type: 'demand', ...of },
  { type: 'return', ...of },
  { type: 'lend', ...of, to: 'b', toIncarnation: 2 },
  { type: 'add-feature', feature: 'new', allocations: 5 },
  { type: 'add-allocations', feature: 'cad', count: -3 },
  { type: 'change-criteria', feature: 'cad', targets: { a: 1 }, thresholds: { a: 0.5 } },
  { type: 'set-threshold', feature: 'cad', server: 'a', threshold: 0.5 },
  { type: 'add-code', text: 'x.y.z', content: content({ codeId: 'c2', kind: 'allocations' }) },
  {
    type: 'add-code',
    text: 'x.y.z',
    content: content({
      ...{ codeId: 'c3', feature: 'sim@2027', renews: 'code-1', serves: ['sim'] },
      ...{ expiresAt: epoch + 1e9, limits: { leaseMs: 60_000, seatMs: 9_000, offlineDays: 1 } },
    }),
  },
  { type: 'remove-code', codeId: 'code-1' },
  { type: 'add-vendor', vendor, sameAs: 'kid-acme', certificate: 'a.b.c' },
  { type: 'revoke-vendor', kid: 'kid-acme' },
  { type: 'set-level', level: 3 },
  { type: 'note', action: 'transfer-leader', detail: 'to b' },
  { type: 'change-settings', settings: { tickMs: 500, leaseTicks: 20, seatTicks: 10 } },
  { type: 'add-server', server: 'd', role: 'learner' },
  { type: 'set-role', server: 'b', role: 'removed' },
  { type: 'recover', servers: ['a'], holdTicks: 3, wallMs: epoch },
  {
    ...{ type: 'genesis', pool: 'p', fingerprint: 'f', servers: ['a'], vendors: [vendor] },
    ...{ settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 20 }, wallMs: 1, level: 3 },
  },
  {
    type: 'tick',
    tick: 6,
    listings: ['a', 'b'].map((server, n) => ({
      ...{ server, incarnation: n + 1, number: 9, wallMs: epoch + 70_000 },
      usage: [{ feature: 'cad', inUse: 1, granted: 2, denied: 4, reasons: [1, 1, 1, 1] }],
    })),
  },
]

const unkept = new Set(['tick', 'genesis', 'recover'])
function commandOf(body: CommandBody): Command {
  return { id: unkept.has(body.type) ? '' : 'id-1', deadline: 7, by: 'test', body }
}

/** Without and with a field of version 3, and sealed as what they are. */
const corpus = bodies.flatMap(body => {
  const plain = commandOf(body)
  return [plain, { ...plain, since: 5 }].map(one => copy(commandCodec.encode(one).subarray(1)))
})
function sealed(body: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(Buffer.from(body).includes('since') ? 3 : 2), body])
}

const lived = livedPool()
const rows = lived.ledger.snapshot().rows

/** Applies it where it may do the most, and looks at what the ledger is then. */
function applied(command: Command): void {
  const ledger = Ledger.restoreRows(rows)
  for (const index of [1_000, 1_001]) ledger.apply(command, index)
  // Twice has one effect, and time goes on: what it put into the ledger is met by ticks.
  for (let n = 1; n <= 3; n++) {
    const body: CommandBody = { type: 'tick', tick: ledger.state.tick + 1, listings: [] }
    ledger.apply({ id: '', deadline: 0, by: 'server:a', body }, 1_001 + n)
  }
  const again = Ledger.restore(ledger.snapshot())
  if (again.hash() !== ledger.hash()) throw new Error('its snapshot is of another ledger')
}

const commands: readonly Target[] = [
  target({
    name: 'command',
    form: 'msgpack',
    corpus,
    seal: sealed,
    read: commandCodec.decode,
    write: command => commandCodec.encode(command),
  }),
  target({
    name: 'command, applied',
    form: 'msgpack',
    corpus,
    seal: sealed,
    read: bytes => {
      const command = commandCodec.decode(bytes)
      if (command !== undefined) applied(command)
      return command
    },
  }),
]

const term = { expiresAt: 900, lastTick: 20 }
const client = { clientId: 'c', user: 'u', host: 'h' }

function handedOver(): Uint8Array {
  const book = new SeatBook()
  book.advance(0, 5)
  book.adopt('cad', 5)
  const stock = book.stock('cad')
  for (const seatId of ['r', 'r/1']) book.grant(stock, seatId, client, term, 1)
  book.moveIn({ seatId: 'm', feature: 'cad', until: 9 })
  const from = { server: 'a', incarnation: 1 }
  return copy(encodeHandOver(book, from, lived.ledger.state, 10) ?? new Uint8Array())
}

/** Ends with the CRC of what is before. */
function checked(body: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(body.length + 4)
  bytes.set(body)
  bytes.writeUInt32BE(crc32(body), body.length)
  return bytes
}

const books: readonly Target[] = [
  target({
    name: 'book file',
    form: 'msgpack',
    corpus: [copy(encodeBook({ incarnation: 4, data: handedOver() }).subarray(0, -4))],
    seal: checked,
    read: decodeBook,
    write: encodeBook,
  }),
  target({
    name: 'seats handed over',
    form: 'msgpack',
    corpus: [handedOver().subarray(0, -4)],
    seal: checked,
    read: bytes => {
      const given = decodeHandOver(bytes)
      if (given === undefined) return undefined
      const book = new SeatBook()
      book.advance(1, 5)
      book.adopt('cad', 5)
      takeOver(book, given, lived.ledger.state, 1)
      book.advance(1e9, 1_000)
      return given
    },
  }),
]

const sliced = packr.pack([1, rows.map(row => copy(packr.pack(row)))])

/** Frames of a snapshot file, with checksums and a hash that fit, as far as the rows can be read at all. */
function snapshotFile(body: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = []
  const put = (payload: Uint8Array): void => {
    const head = Buffer.alloc(8)
    head.writeUInt32BE(payload.length, 0)
    head.writeUInt32BE(crc32(payload), 4)
    frames.push(head, payload)
  }
  let hash = ''
  try {
    hash = Ledger.restoreRows([...rowsOf(body)]).hash()
  } catch {
    // Nor will its reader get that far.
  }
  const { pool, fingerprint } = lived.ledger.state
  const header = { pool, fingerprint, clusterId: 'x', epoch: 1, index: 9, term: 1, tick: 5, hash }
  frames.push(Buffer.from('licd snapshot 1\n'))
  put(Buffer.from(JSON.stringify({ ...header, savedAt: epoch })))
  put(body)
  const whole = Buffer.concat(frames)
  const sha256 = createHash('sha256').update(whole).digest('hex')
  put(Buffer.from(JSON.stringify({ chunks: 1, sha256 })))
  return Buffer.concat(frames)
}

/** A file of one's own for readers of files. */
export function inFile<Value>(
  bytes: Uint8Array,
  read: (path: string) => Promise<Value>,
): Promise<Value> {
  writeFileSync(scratch, bytes, { mode: 0o600 })
  return read(scratch)
}

const folder = mkdtempSync(join(tmpdir(), 'licd-fuzz-'))
const scratch = join(folder, 'case')
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const snapshots: readonly Target[] = [
  target({
    name: 'snapshot file',
    form: 'msgpack',
    corpus: [copy(sliced)],
    seal: snapshotFile,
    read: bytes =>
      inFile(bytes, path =>
        codedOrLater(async () => {
          const { state } = await readSnapshotFile(path)
          return { tick: state.tick, features: state.features.size }
        }),
      ),
  }),
  target({
    name: 'snapshot row',
    form: 'msgpack',
    corpus: rows.map(row => copy(packr.pack(row))),
    seal: row => copy(packr.pack([1, [row]])),
    // Raft has checked its bytes; one of another version is met by an assertion, and by nothing worse.
    read: bytes => {
      try {
        const found: Row[] = [...rowsOf(bytes)]
        return found
      } catch (error) {
        if (error instanceof AssertionError) return undefined
        throw error
      }
    },
  }),
]

export const ledgerTargets = [...commands, ...books, ...snapshots]
