import t from 'tap'
import { Pace } from '../../lib/http/pace.ts'

/** A clock by hand: what is due after a pause is kept until it is let go. */
function byHand() {
  const pauses: { readonly ms: number; readonly fire: () => void }[] = []
  const clock = {
    at: 0,
    now: () => clock.at,
    after(ms: number, fire: () => void) {
      pauses.push({ ms, fire })
      return { cancel: () => undefined }
    },
  }
  return { clock, pauses }
}

/** Until all that follows from what was done is done. */
const settled = () => new Promise(resolve => setImmediate(resolve))

t.test('one look at a time, and a pause after each of three times what it took', async t => {
  const { clock, pauses } = byHand()
  const pace = new Pace(clock)
  const looks: string[] = []
  const look = (name: string, ms: number) =>
    pace.take(() => ((clock.at += ms), looks.push(name), name))
  const answers = Promise.all([look('a', 20), look('b', 10_000), look('c', 1)])
  for (const [n, ms] of [60, 500, 3].entries()) {
    await settled()
    t.strictSame(looks, ['a', 'b', 'c'].slice(0, n + 1))
    t.equal(pauses[n]?.ms, ms)
    pauses[n]?.fire()
  }
  t.strictSame(await answers, ['a', 'b', 'c'])
})

t.test('one that fails costs the others nothing, and so many wait', async t => {
  const { clock, pauses } = byHand()
  const pace = new Pace(clock)
  const failing = pace.take(() => Promise.reject(new Error('defect')))
  const others = Array.from({ length: 31 }, (_, n) => pace.take(() => n))
  await t.rejects(
    pace.take(() => 0),
    { code: 'LICD_TOO_BUSY' },
  )
  await t.rejects(failing, { message: 'defect' })
  for (let n = 0; n < 32; n++) {
    await settled()
    pauses[n]?.fire()
  }
  t.equal((await Promise.all(others)).length, 31)
  const last = pace.take(() => 'again')
  t.equal(await last, 'again', 'there is room')
})
