// Which of its keys a server makes tokens with and hears, by what the ledger says.
import t from 'tap'
import type { TokenKeyUse } from '../lib/ledger/state.ts'
import { makeToken, tokenKey } from '../lib/token.ts'
import { macKeyId, TokenKeys } from '../lib/token-keys.ts'

const [k0, k1, k2] = [0, 1, 2].map(n => new Uint8Array(32).fill(n + 1)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
]
const [id0, id1, id2] = [k0, k1, k2].map(macKeyId) as [string, string, string]
const proof = {
  ...{ seatId: 's', feature: 'cad', server: 'alpha', incarnation: 1, seatTick: 5, lastTick: 9 },
}
const subject = { seatId: 's', token: Uint8Array.of(1), server: 'alpha', incarnation: 1 }

function ring(keys: readonly Uint8Array[], use?: Partial<TokenKeyUse>) {
  let now: TokenKeyUse | undefined = use && { ...none, ...use }
  const held = new TokenKeys('p', keys, () => now)
  const says = (next: Partial<TokenKeyUse> | undefined) => (now = next && { ...none, ...next })
  return { held, says }
}
const none: TokenKeyUse = { current: '', since: 0, before: [], retired: [] }

/** Of keys 0, 1 and 2 those whose tokens it hears. */
function heard(held: TokenKeys): number[] {
  return [k0, k1, k2].flatMap((key, n) =>
    held.read(makeToken(tokenKey(key), 'p', proof)) === undefined ? [] : [n],
  )
}

t.test('the ids of keys are of the keys, and tell nothing of them', async t => {
  t.equal(new Set([id0, id1, id2]).size, 3)
  t.match(id0, /^[A-Za-z0-9_-]{16}$/)
  t.notMatch(id0, Buffer.from(k0).toString('base64url').slice(0, 8))
})

t.test(
  'never changed: made with the oldest, and the next one is heard before it is in use',
  async t => {
    const { held } = ring([k1, k0])
    t.equal(held.making, id0)
    t.same(heard(held), [0, 1])
    t.same(held.read(makeToken(tokenKey(k1), 'p', proof)), proof)
  },
)

t.test(
  'switched: made with the new one at once; the old one is heard for its time alone',
  async t => {
    const { held, says } = ring([k1, k0])
    const [old, nonce] = [held.token(proof), held.challenge(subject, 7)]
    says({ current: id1, before: [{ kid: id0, until: 9 }] })
    t.equal(held.making, id1)
    t.same(new TokenKeys('p', [k1], () => undefined).read(held.token(proof)), proof)
    t.same(held.read(old), proof)
    t.equal(held.readChallenge(subject, nonce), 7, 'a challenge of before is heard too')
    t.equal(held.readChallenge(subject, held.challenge(subject, 8)), 8)
    says({ current: id1, retired: [id0] })
    t.equal(held.read(old), undefined)
    t.equal(held.readChallenge(subject, nonce), undefined)
    t.same(heard(held), [1])
  },
)

t.test('without the key in use it makes nothing, and hears what it can', async t => {
  const { held, says } = ring([k0], { current: id1, before: [{ kid: id0, until: 9 }] })
  t.equal(held.making, undefined)
  t.throws(() => held.token(proof), /not|asked/)
  t.same(heard(held), [0])
  t.same(held.adopt([k1, k0]), [])
  t.equal(held.making, id1, 'until it is there')
  says({ current: id1, retired: [id0] })
  t.same(heard(held), [1])
})

t.test('what is in use or heard is not let go of, whatever the file says', async t => {
  const { held, says } = ring([k1, k0], { current: id1, before: [{ kid: id0, until: 9 }] })
  t.same(held.adopt([k2]), [id1, id0])
  t.same(heard(held), [0, 1, 2])
  t.equal(held.making, id1)
  says({ current: id2, before: [{ kid: id1, until: 9 }], retired: [id0] })
  t.same(held.adopt([k2]), [id1])
  t.same(held.kids, [id2, id1])
  t.same(heard(held), [1, 2])
})

t.test('the id of a key is what an operator can type', t => {
  // Some of these hashes begin with a dash, as an option does.
  for (let n = 0; n < 500; n++) {
    const key = new Uint8Array(32)
    key.set([n & 0xff, n >> 8])
    t.match(macKeyId(key), /^[\w][\w-]{15}$/)
  }
  t.end()
})
