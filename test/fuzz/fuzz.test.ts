/** Every decoder, some thousand spoilt inputs each; `npm run fuzz -- --minutes M` goes on from there. */
import t from 'tap'
import { fuzz } from './fuzz.ts'
import { Hunter } from './hunt.ts'
import { target, textOf } from './target.ts'
import { targets } from './targets.ts'

t.setTimeout(600_000)

/** A busy machine is slow: what must not pass here is what takes seconds. */
const slowMs = 2_000
const seed = 20_261_128
const hunter = new Hunter()
t.teardown(() => hunter[Symbol.asyncDispose]())
/** Those that touch files, sign, or build a whole ledger for each case. */
const dear = new Set([
  ...['command, applied', 'snapshot file', 'snapshot row', 'seats handed over', 'NATS credentials'],
  ...['context file', 'pool.key and pool.join', 'vendor key', 'vendor key, private', 'server.json'],
  ...['configuration file', 'license code, signed', 'proof of a seat, signed', 'proof of a seat'],
  ...['vendor certificate, signed', 'vote and mark'],
])

t.test('each has a name of its own', async t => {
  t.equal(new Set(targets.map(({ name }) => name)).size, targets.length)
})

for (const { name } of targets) {
  t.test(name, async t => {
    const cases = dear.has(name) ? 150 : 1_500
    const tally = await hunter.hunt({ target: name, seed, from: 0, cases, slowMs })
    t.equal(tally.finding, undefined, JSON.stringify(tally.finding))
    t.equal(tally.cases, cases)
    t.comment(`${tally.accepted} of ${cases} read as a value, the slowest in ${tally.slowestMs} ms`)
  })
}

t.test('what it must notice it does notice', async t => {
  const whole = (read: (text: string, calls: number) => unknown) => {
    let calls = 0
    return target({
      name: 'made to fail',
      form: 'bytes',
      corpus: [Buffer.from('valid')],
      read: bytes => read(textOf(bytes), ++calls),
    })
  }
  const found = async (read: (text: string, calls: number) => unknown) =>
    (await fuzz(whole(read), { seed: 1, from: 0, cases: 500, slowMs: 50 })).finding?.what ??
    'nothing'
  const valid = (text: string) => (text === 'valid' ? text : undefined)
  t.equal(await found(valid), 'nothing')
  t.match(
    await found(text => {
      if (text.length > 8) throw new TypeError('a bug')
      return valid(text)
    }),
    /TypeError: a bug/,
  )
  t.match(await found((text, calls) => (calls < 300 ? valid(text) : undefined)), /refuses valid/)
  t.match(
    await found((text, calls) => (text === 'valid' ? text + String(calls > 300) : undefined)),
    /otherwise than before/,
  )
  t.match(
    await found(text => {
      // Time of the processor, as that is what is judged: a busy machine gives little of it in 60 ms.
      const from = process.cpuUsage()
      while (text.length > 100 && process.cpuUsage(from).user < 60_000);
      return valid(text)
    }),
    /ms for \d+ bytes/,
  )
})
