import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  challengeCommandId,
  makeChallenge,
  makeToken,
  readChallenge,
  readToken,
  tokenKey,
} from '../lib/token.ts'

const key = tokenKey(new Uint8Array(32).fill(1))
const proof = {
  seatId: 's/3',
  feature: 'cad@2026',
  server: 'alpha',
  incarnation: 3,
  seatTick: 100,
  lastTick: 130,
}

t.test('a token says what it was made of, to this pool alone', async t => {
  const token = makeToken(key, 'p', proof)
  t.strictSame(readToken(key, 'p', token), proof)
  t.equal(readToken(key, 'other', token), undefined)
  t.equal(readToken(tokenKey(new Uint8Array(32).fill(2)), 'p', token), undefined)
  t.ok(token.byteLength < 100)
})

t.test(
  'the MAC is HMAC-SHA256, as others and earlier versions make it, whatever the length',
  async t => {
    for (const length of [1, 32, 64]) {
      const macKey = Uint8Array.from({ length: 32 }, (_, n) => (n * 7 + length) % 256)
      const token = makeToken(tokenKey(macKey), 'p'.repeat(length), proof)
      const body = token.subarray(0, -16)
      const mac = createHmac('sha256', macKey).update(Buffer.of(1)).update(body).digest()
      t.strictSame(Buffer.from(token.subarray(-16)), mac.subarray(0, 16))
    }
    const large = { ...proof, feature: 'f'.repeat(3_000) }
    const token = makeToken(key, 'p', large)
    const mac = createHmac('sha256', new Uint8Array(32).fill(1))
    const body = token.subarray(0, -16)
    const digest = mac.update(Buffer.of(1)).update(body).digest()
    t.strictSame(Buffer.from(token.subarray(-16)), digest.subarray(0, 16))
  },
)

t.test('an altered token is none, whichever byte is altered', async t => {
  const token = makeToken(key, 'p', proof)
  for (let n = 0; n < token.byteLength; n++) {
    const altered = Uint8Array.from(token)
    altered[n] = (altered[n] ?? 0) ^ 1
    if (readToken(key, 'p', altered) !== undefined) t.fail(`byte ${n}`)
  }
  t.equal(readToken(key, 'p', token.subarray(1)), undefined)
  t.equal(readToken(key, 'p', token.subarray(0, -1)), undefined)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), b => readToken(key, 'p', b) === undefined),
  )
})

t.test('a challenge is good for one renewal at one run of one server', async t => {
  const subject = { seatId: 's', token: makeToken(key, 'p', proof), server: 'beta', incarnation: 2 }
  const nonce = makeChallenge(key, subject, 140)
  t.equal(readChallenge(key, subject, nonce), 140)
  t.equal(readChallenge(key, { ...subject, incarnation: 3 }, nonce), undefined)
  t.equal(readChallenge(key, { ...subject, server: 'alpha' }, nonce), undefined)
  t.equal(readChallenge(key, { ...subject, seatId: 't' }, nonce), undefined)
  const other = makeToken(key, 'p', { ...proof, seatTick: 101 })
  t.equal(readChallenge(key, { ...subject, token: other }, nonce), undefined)
  const later = Uint8Array.from(nonce)
  later[5] = (later[5] ?? 0) + 1
  t.equal(readChallenge(key, subject, later), undefined, 'its last tick cannot be moved')
  t.equal(readChallenge(key, subject, nonce.subarray(1)), undefined)
  t.match(challengeCommandId(nonce), /^[A-Za-z0-9._-]{1,64}$/)
  t.not(challengeCommandId(nonce), challengeCommandId(makeChallenge(key, subject, 141)))
})
