/**
 * A pool of real processes under fire, for as long as it takes to throw each kind of fault three times; and the same judges over
 * a pool whose servers grant too much, to see that they see it.
 *
 * What this machine cannot do is said in a comment, with what is missing; what it can and was thrown fewer times fails.
 * Without network namespaces everything goes through proxies (LICD_CHAOS_NETWORK=proxies asks for them).
 *
 * Part of `npm test`; alone it is `npm run test:chaos`. LICD_CHAOS_SEED repeats order, targets and lengths of the faults;
 * LICD_CHAOS_KEEP names a folder for what all processes wrote down.
 */
import t from 'tap'
import { makeVariant } from '../mutants/variant.ts'
import { checkSeats } from './checker.ts'
import { plantDoubleGrant } from './plant.ts'
import { reportOf } from './report.ts'
import { runChaos } from './run.ts'

// A busy machine takes its time; nothing here is judged by it.
t.setTimeout(850_000)

const rounds = 3
const { LICD_CHAOS_SEED, LICD_CHAOS_KEEP: keep, LICD_CHAOS_NETWORK } = process.env
const network = LICD_CHAOS_NETWORK === 'proxies' ? ({ network: 'proxies' } as const) : {}

t.test('under every kind of fault no seat too many, and nothing lost', async t => {
  const seed = LICD_CHAOS_SEED ?? String(Math.floor(Math.random() * 1_000_000))
  const outcome = await runChaos({
    ...(keep === undefined ? {} : { keep }),
    ...network,
    ...{ seed, servers: 3, clientProcesses: 4, clientsEach: 50, stormMs: 0, rounds },
    say: text => t.comment(text),
  })
  for (const line of reportOf(outcome).split('\n')) t.comment(line)
  t.same(outcome.violations, [], `LICD_CHAOS_SEED=${seed}`)
  for (const [kind, count] of Object.entries(outcome.faults)) {
    t.ok(count >= rounds, `${kind}: ${count} times`)
  }
  const kinds = Object.keys({ ...outcome.faults, ...outcome.skipped })
  t.equal(kinds.length, 14, 'every kind was thrown, or it was said why not')
  const { seats, commands, calm } = outcome
  t.ok(seats.grants > 200 && seats.renewals > 200, 'there was something to check')
  t.ok(commands.acknowledged > 10, 'and changes')
  t.equal(calm.granted, calm.allocations)
  t.not(calm.confirmedMs, undefined)

  const planted = plantDoubleGrant(outcome.lines)
  if (planted === undefined) throw new Error('no feature was ever in use to the last seat')
  t.comment(`planted: one seat more of ${planted.feature} than there are`)
  const found = checkSeats(planted.lines).violations
  t.ok(
    found.some(({ rule, t: at }) => rule === 'I3' && at === planted.t),
    'a double grant in this very history is found',
  )
})

t.test('servers that grant more than they own are found', async t => {
  const variant = makeVariant({
    name: 'grants-over-the-limit',
    doc: 'A server takes its limit for three more than it is.',
    ids: ['I2'],
    file: 'lib/book/seat.js',
    find: 'return this.limit - this.inUse; } get isOverLimit() { return this.inUse > this.limit; }',
    put: 'return this.limit + 3 - this.inUse; } get isOverLimit() { return false; }',
  })
  try {
    const { violations } = await runChaos({
      ...{ seed: 'mutant', servers: 3, clientProcesses: 2, clientsEach: 40 },
      ...{ stormMs: 12_000, rounds: 0, kinds: [], build: variant.folder },
      // Fewer than are wanted, or nobody notices.
      local: { cad: 8, sim: 8 },
      ...network,
      say: text => t.comment(text),
    })
    const [first] = violations.filter(({ rule }) => rule === 'I3')
    t.comment(first?.what ?? 'nothing was found')
    t.not(first, undefined)
  } finally {
    variant.remove()
  }
})
