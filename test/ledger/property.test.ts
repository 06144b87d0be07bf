/**
 * Random command sequences against the ledger's invariants: I1, I4, I5, R1, and that nothing useful lies idle.
 *
 * LICD_PROPERTY_RUNS sets the number of sequences, LICD_PROPERTY_SEED the first seed (fixed by default, so that a run
 * repeats).
 */
import fc from 'fast-check'
import t from 'tap'
import { keyKinds } from './key-model.ts'
import { LedgerModel, type Step } from './model.ts'

const runs = Number(process.env['LICD_PROPERTY_RUNS'] ?? 3_000)
const seed = Number(process.env['LICD_PROPERTY_SEED'] ?? 20_261_124)

// The sequences run in one go, so tap's 30 s would be noticed only after them and fail a run that found nothing.
t.setTimeout(60_000 + runs * 150)

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.nat(keyKinds.to),
  fc.nat(1_000),
  fc.nat(1_000),
  fc.nat(1_000),
  fc.nat(19),
)

t.test('the same of a ledger whose memory is full', async t => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), steps => {
      const world = new LedgerModel({ keys: true, results: 24 })
      for (const one of steps) world.do(one)
      for (const [key, count] of world.seen) seen.set(key, (seen.get(key) ?? 0) + count)
    }),
    { numRuns: Math.ceil(runs / 3), seed, endOnFailure: false },
  )
  for (const key of ['forgotten early', 'borrow LICD_TOO_BUSY', 'borrow LICD_UNKNOWN_OUTCOME']) {
    t.ok((seen.get(key) ?? 0) > 0, `reached: ${key}`)
    t.comment(`${key}: ${String(seen.get(key))}`)
  }
})

t.test('random command sequences keep I1, I4, I5 and R1', async t => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), steps => {
      const world = new LedgerModel({ keys: true })
      for (const one of steps) world.do(one)
      for (const [key, count] of world.seen) seen.set(key, (seen.get(key) ?? 0) + count)
    }),
    { numRuns: runs, seed, endOnFailure: false },
  )
  let commands = 0
  for (const [key, count] of seen) if (!key.includes(' took ')) commands += count
  t.comment(`${String(runs)} sequences, ${String(commands)} commands`)
  // A generator that stopped reaching the interesting cases would pass for ever.
  for (const key of [
    ...['free', 'down', 'offer', 'move'].map(source => `borrow took ${source}`),
    ...['borrow LICD_NO_SOURCE', 'borrow LICD_PAST_INCARNATION', 'borrow again', 'lend ok'],
    ...['return ok', 'return LICD_NOT_ENOUGH', 'return LICD_NOT_FUNCTIONING', 'demand ok'],
    ...['lend LICD_NO_DEMAND', 'add-code ok', 'remove-code ok', 'hello ok', 'hello again'],
    ...['add-code LICD_CODE_LIMITS', 'add-vendor ok'],
    ...['change-settings ok', 'change-criteria ok', 'change-criteria LICD_TARGETS_TOO_LARGE'],
    ...[
      'set-role ok',
      'set-role LICD_SERVER_REMOVED',
      'set-role LICD_UNKNOWN_SERVER',
      'add-server ok',
    ],
    ...[
      'hold-keys ok',
      'hold-keys LICD_PAST_INCARNATION',
      'hold-keys LICD_BAD_REQUEST',
      'use-key ok',
    ],
    ...['use-key LICD_KEY_MISSING', 'use-key LICD_KEY_CHANGED', 'use-key LICD_KEY_RETIRED'],
    ...['revoke-operator ok', 'add-code LICD_NOT_OPERATOR', 'note ok', 'set-level ok'],
    ...['return LICD_BAD_DEADLINE', 'return LICD_DEADLINE', 'return LICD_BAD_COUNT'],
  ]) {
    t.ok((seen.get(key) ?? 0) > 0, `reached: ${key}`)
  }
  if (process.env['LICD_PROPERTY_SEEN'] !== undefined) {
    for (const [key, count] of [...seen].sort()) t.comment(`${key}: ${String(count)}`)
  }
})
