import t from 'tap'
import { Turnstile, roomMax, type Verdict } from '../../lib/service/turnstile.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

interface Visit {
  readonly from: string
  readonly n: number
}

/** Messages of senders, each with its number, as they come and as they are served. */
class Crowd {
  readonly turnstile: Turnstile<Visit>
  #n = 0

  constructor(salt = 1) {
    this.turnstile = new Turnstile(() => salt)
  }

  send(from: string, size = 100): Verdict {
    const verdict = this.turnstile.judge(bytes(from), size)
    if (verdict === 'wait') this.turnstile.add({ from, n: ++this.#n })
    return verdict
  }

  sends(from: string, times: number, size?: number): Record<Verdict, number> {
    const verdicts = { now: 0, wait: 0, tell: 0, drop: 0 }
    for (let n = 0; n < times; n++) verdicts[this.send(from, size)]++
    return verdicts
  }

  turn(): Visit[] {
    return [...this.turnstile.turn()]
  }

  /** Turns until nobody waits. */
  rest(): Visit[] {
    const served: Visit[] = []
    while (!this.turnstile.isClear) served.push(...this.turn())
    return served
  }
}

const one = '_INBOX.one.licd.alpha.acquire.1'
const two = '_INBOX.two.licd.alpha.acquire.1'

t.test('what a turn begins with is taken as it comes, the rest in its order', async t => {
  const crowd = new Crowd()
  t.strictSame(crowd.sends(one, 40), { now: 32, wait: 8, tell: 0, drop: 0 })
  t.strictSame(
    crowd.turn().map(({ n }) => n),
    [1, 2, 3, 4, 5, 6, 7, 8],
  )
  t.ok(crowd.turnstile.isClear)
  t.equal(crowd.send(one), 'now', 'and then as it comes again')
})

t.test('who has something in line overtakes none of it', async t => {
  const crowd = new Crowd()
  crowd.sends(one, 20, 20_480)
  crowd.turn()
  t.equal(crowd.send(two), 'now', 'another has nothing to wait for')
  t.equal(crowd.send(one), 'wait')
  const served = crowd.rest().map(({ n }) => n)
  t.strictSame(
    served,
    [...served].sort((a, b) => a - b),
  )
})

t.test('a sender alone has half of the room, and is told now and then', async t => {
  const crowd = new Crowd()
  const { wait, tell } = crowd.sends(one, 1_000_000)
  t.equal(wait, roomMax / 2)
  t.equal(tell, 1)
  t.equal(crowd.send(two), 'wait', 'there is room for others')
  t.match(crowd.turn().slice(0, 2), [{ from: one }, { from: two }], 'who are served next')
  let told = 0
  for (let turn = 0; turn < 2_000; turn++) {
    told += crowd.sends(one, 300).tell
    t.equal(crowd.turn().length, 1, 'while more comes than is read at once, to read comes first')
  }
  t.equal(told, 7, 'once for 256 that were served')
})

t.test('a flood is served one message a turn, and in a quiet turn many', async t => {
  const crowd = new Crowd()
  crowd.sends(one, 1_000)
  crowd.turn()
  t.equal(
    crowd.send(two),
    'wait',
    'in a rush everybody has to wait, of whom nothing is in line too',
  )
  t.equal(crowd.turn().length, 2)
  for (let turn = 0; turn < 6; turn++) t.equal(crowd.turn().length, 1)
  t.equal(crowd.turn().length, 64, 'nothing came')
  crowd.rest()
  crowd.sends(two, 40, 65_536)
  t.equal(
    crowd.turn().length,
    4,
    'large ones are none: as many are served as one read brings, and more',
  )
  crowd.rest()
  crowd.sends(one, 300)
  crowd.sends(two, 40, 65_536)
  const served = Array.from({ length: 40 }, () => {
    crowd.sends(one, 300)
    return crowd.turn().map(({ from }) => from)
  })
  const turns = served.flatMap((froms, turn) => (froms.includes(two) ? [turn] : []))
  t.ok(
    turns.slice(1).every((turn, n) => turn - (turns[n] ?? 0) === 9),
    'in a rush they pay for theirs',
  )
  t.ok(turns.length >= 4)
})

t.test('whoever sends, and however many, there is a bound', async t => {
  const crowd = new Crowd()
  let taken = 0
  for (let n = 0; n < 100_000; n++) {
    if (crowd.send(`_INBOX.${n}.licd.alpha.acquire.1`) === 'wait') taken++
  }
  t.ok(taken <= roomMax, `${taken}`)
  t.ok(taken > roomMax / 2, `${taken}`)
  t.equal(crowd.rest().length, taken)
  crowd.sends(one, 32)
  t.equal(crowd.sends(one, 1_000, 262_144).wait, 126, 'large ones take more of it')
})

t.test(
  'senders are told apart by the first four parts of the reply subject, without the last',
  async t => {
    const full = (first: string, second: string): boolean => {
      const crowd = new Crowd()
      crowd.sends(first, 100_000)
      return crowd.send(second) === 'drop'
    }
    t.ok(full(one, '_INBOX.one.licd.alpha.renew.7'))
    t.ok(full('_INBOX.client.ws7.a.licd.alpha.acquire.1', '_INBOX.client.ws7.a.licd.any.find.2'))
    t.notOk(full('_INBOX.client.ws7.a.licd.alpha.acquire.1', '_INBOX.client.ws7.b.licd.any.find.2'))
    t.ok(full('_INBOX.a.1', '_INBOX.a.2'))
    t.notOk(full('_INBOX.a', '_INBOX.b'), 'of two parts both')
    t.ok(full('', ''), 'who wants no answer')
  },
)

t.test('who shares a line with whom depends on the salt', async t => {
  const shares = (salt: number, other: string): boolean => {
    const crowd = new Crowd(salt)
    crowd.sends(one, 100_000)
    return crowd.send(other) === 'drop'
  }
  const other = Array.from({ length: 40_000 }, (_, n) => `_INBOX.other${n}.1`).find(name => {
    const crowd = new Crowd(1)
    crowd.sends(one, 32)
    crowd.send(one)
    crowd.sends(name, 1)
    // One line, or two, of which each is served once in a rush.
    crowd.sends('_INBOX.rush.1', 300)
    return crowd.turn().every(({ from }) => from !== name)
  })
  if (other === undefined) throw new Error('None of 40,000 shares one of 4,096 lines.')
  t.ok(shares(1, other))
  t.notOk(shares(2, other))
})

t.test('forgotten', async t => {
  const crowd = new Crowd()
  crowd.sends(one, 100_000)
  crowd.turnstile.clear()
  t.strictSame(crowd.turn(), [])
  t.equal(crowd.send(one), 'wait')
  t.equal(crowd.turn().length, 1)
})
