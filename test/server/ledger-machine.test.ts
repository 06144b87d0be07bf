/** A large ledger into a snapshot and out of it: no slice is more than a bounded piece of work (heartbeats wait for it). */
import { pack } from 'msgpackr'
import t from 'tap'
import { LicdError } from '../../lib/error.ts'
import type { Result } from '../../lib/ledger/command.ts'
import { poolRow, emptyState, resultRow, type Row } from '../../lib/ledger/snapshot.ts'
import { commandCodec } from '../../lib/command-codec.ts'
import { levelMax } from '../../lib/ledger/command.ts'
import { asLicdError } from '../../lib/server/fatal.ts'
import { LedgerMachine, rowsOf, sliceBytes, sliceRows } from '../../lib/server/ledger-machine.ts'
import { RaftError, silentLogger } from '../../raft/index.ts'

const hooks = { applied() {}, installed() {} }

/** A ledger of these rows. */
function machineOf(rows: readonly Row[]): LedgerMachine {
  const machine = new LedgerMachine(hooks, silentLogger)
  const restoration = machine.restore({ index: 9 })
  for (const row of rows) restoration.slice(new Uint8Array(pack([1, [pack(row)]])))
  restoration.end()
  return machine
}

function results(count: number, text: string): Row[] {
  const result: Result = { ok: false, code: 'LICD_NO_SEAT', detail: text }
  return Array.from({ length: count }, (_, n) => resultRow(`id-${n}`, result, 700 + (n % 600)))
}

t.test('slices are bounded in rows and in bytes, and hold all there is', async t => {
  for (const text of ['', 'x'.repeat(4000)]) {
    const pool = poolRow({ ...emptyState(), pool: 'default', tick: 10 })
    const machine = machineOf([pool, ...results(5000, text)])
    const slices = [...iterate(machine.snapshot())]
    const counts = slices.map(slice => [...rowsOf(slice)].length)
    t.ok(Math.max(...counts) <= sliceRows)
    const longest = pack(results(1, text)[0]).length
    const bytes = slices.map(slice => slice.length)
    t.ok(Math.max(...bytes) <= sliceBytes + longest + 8 * sliceRows, String(Math.max(...bytes)))
    t.equal(
      counts.reduce((sum, count) => sum + count, 0),
      5001,
    )
    const again = new LedgerMachine(hooks, silentLogger)
    const restoration = again.restore({ index: 9 })
    for (const slice of slices) restoration.slice(slice)
    t.equal(again.ledger.state.pool, '', 'the old ledger is in force until the end')
    restoration.end()
    t.equal(again.digest(), machine.digest())
  }
})

t.test('what a later version wrote stops the server, and changes nothing', async t => {
  const machine = machineOf([poolRow({ ...emptyState(), pool: 'default', tick: 10 })])
  const before = machine.hash()
  const tick = commandCodec.encode({
    ...{ id: 'x', deadline: 0, by: 'alpha' },
    body: { type: 'set-level', level: levelMax + 1 },
  })
  const later = Uint8Array.from(tick)
  later[0] = 4
  for (const data of [tick, later, Uint8Array.of(31, 0x80)]) {
    t.throws(() => machine.apply({ index: 10, term: 1, data }), { code: 'LICD_BAD_VERSION' })
  }
  machine.apply({ index: 11, term: 1, data: Uint8Array.of(0xc1, 0xc1) })
  t.equal(machine.hash(), before, 'garbage is skipped')

  const row = poolRow({ ...emptyState(), pool: 'default', level: levelMax + 1 })
  t.throws(() => machineOf([row]), { code: 'LICD_BAD_VERSION' })
  const cause = new LicdError('LICD_BAD_VERSION')
  const told = asLicdError(new RaftError('RAFT_STATE_MACHINE', 'At entry 10.', { cause }))
  t.equal(told.code, 'LICD_BAD_VERSION', 'and its operator hears that, not of a defect')
})

function* iterate<T>(items: Iterator<T>): Generator<T> {
  for (let next = items.next(); next.done !== true; next = items.next()) yield next.value
}
