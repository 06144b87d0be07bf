// Seats that prove themselves: each link of the chain forged, altered, foreign, repeated and over.
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { makeSigningKey } from '../../lib/code/jws.ts'
import {
  certifyServer,
  proveSeat,
  verifySeatProof,
  type SeatClaim,
} from '../../lib/code/seat-proof.ts'
import { signCode, type CodeOrder } from '../../lib/code/sign.ts'
import { certifyVendorKey } from '../../lib/code/vendor-certificate.ts'
import { makeVendorKey, thumbprint } from '../../lib/code/vendor-key.ts'

const now = Date.UTC(2026, 5, 1)
const day = 86_400_000

const acme = makeVendorKey('Acme Ltd')
const mallory = makeVendorKey('Acme Ltd')
const poolKey = makeSigningKey()
const serverKey = makeSigningKey()
const nonce = randomBytes(16)

const order: CodeOrder = {
  ...{ codeId: 'code-1', customer: 'Car Co', kind: 'feature', feature: 'cad', version: '2026' },
  ...{ allocations: 5, startsAt: now - day, expiresAt: now + day, issuedAt: now - day },
  fingerprint: thumbprint(poolKey.publicKey),
  serves: ['cad@2025'],
}
const claim: SeatClaim = {
  ...{ feature: 'cad@2026', seatId: 'seat-1', server: 'alpha', nonce },
  ...{ from: now, until: now + 20_000 },
}

interface Chain {
  readonly order?: Partial<CodeOrder>
  readonly vendor?: typeof acme
  readonly keys?: readonly string[]
  readonly pool?: typeof poolKey
  /** Whose key is said to be the pool's; the signer's when absent. */
  readonly poolSays?: string
  readonly server?: { readonly server?: string; readonly from?: number; readonly until?: number }
  readonly serverSigns?: typeof serverKey
  readonly claim?: Partial<SeatClaim>
}

/** A whole proof, with what is said changed. */
function proofOf(chain: Chain = {}): string {
  const { vendor = acme, pool = poolKey, keys = [] } = chain
  const server = { server: 'alpha', from: now - day, until: now + day, ...chain.server }
  const seal = certifyServer({ ...server, key: serverKey }, pool)
  const signs = chain.serverSigns ?? serverKey
  return proveSeat(
    { ...claim, ...chain.claim },
    { ...seal, key: signs },
    {
      code: signCode({ ...order, ...chain.order }, vendor),
      keys,
      poolPublicKey: chain.poolSays ?? pool.publicKey,
    },
  )
}

const expected = { vendorKeys: [acme.publicKey], feature: 'cad@2026', nonce, now }

function judged(
  proof: string,
  change: Partial<Parameters<typeof verifySeatProof>[1]> = {},
): string {
  const verified = verifySeatProof(proof, { ...expected, ...change })
  return verified.ok ? 'holds' : verified.code
}

t.test(
  'a proof holds with the vendor\u2019s public key alone, and says what it proves',
  async t => {
    t.same(verifySeatProof(proofOf(), expected), {
      ok: true,
      seat: {
        ...{ validUntil: now + 20_000, feature: 'cad@2026', seatId: 'seat-1', server: 'alpha' },
        ...{ customer: 'Car Co', vendor: 'Acme Ltd', codeId: 'code-1' },
        fingerprint: thumbprint(poolKey.publicKey),
      },
    })
  },
)

t.test('each link forged, foreign, of another thing, or over, by name', async t => {
  const other = makeSigningKey()
  const cases: readonly [string, string, string][] = [
    ['a code by another vendor', proofOf({ vendor: mallory }), 'LICD_CODE_UNTRUSTED'],
    [
      'a code under a key id that is not its own',
      proofOf({ vendor: { ...mallory, kid: acme.kid } }),
      'LICD_CODE_FORGED',
    ],
    ['a code for another pool', proofOf({ pool: other }), 'LICD_CODE_FOREIGN'],
    [
      'a server certified by another pool',
      proofOf({ pool: other, poolSays: poolKey.publicKey }),
      'LICD_PROOF_FORGED',
    ],
    ['a seat by another key', proofOf({ serverSigns: other }), 'LICD_PROOF_FORGED'],
    ['a seat of another server', proofOf({ server: { server: 'beta' } }), 'LICD_PROOF_FORGED'],
    ['a code that is over', proofOf({ order: { expiresAt: now - 40_000 } }), 'LICD_CODE_EXPIRED'],
    [
      'a code that starts later',
      proofOf({ order: { startsAt: now + 40_000 } }),
      'LICD_PROOF_EXPIRED',
    ],
    [
      'a certificate that is over',
      proofOf({ server: { until: now - 40_000 } }),
      'LICD_PROOF_EXPIRED',
    ],
    ['a seat that is over', proofOf({ claim: { until: now - 30_000 } }), 'LICD_PROOF_EXPIRED'],
    ['a seat of a time to come', proofOf({ claim: { from: now + 31_000 } }), 'LICD_PROOF_EXPIRED'],
    [
      'another asker\u2019s nonce',
      proofOf({ claim: { nonce: randomBytes(16) } }),
      'LICD_PROOF_OTHER',
    ],
    ['a seat that its code is not of', proofOf({ claim: { feature: 'cam' } }), 'LICD_PROOF_OTHER'],
    ['another feature', proofOf({ order: { feature: 'cam', serves: [] } }), 'LICD_PROOF_OTHER'],
  ]
  for (const [name, proof, code] of cases) t.equal(judged(proof), code, name)
  t.equal(judged(proofOf(), { nonce: randomBytes(16) }), 'LICD_PROOF_OTHER', 'repeated')
  t.equal(
    judged(proofOf({ claim: { nonce: Buffer.of(1) } }), { nonce: Buffer.of(1) }),
    'LICD_PROOF_OTHER',
  )
  t.equal(judged(proofOf(), { feature: 'cad@2025' }), 'holds', 'a version that its code serves')
  t.equal(judged(proofOf(), { feature: 'cad@2024' }), 'LICD_PROOF_OTHER')
  t.equal(judged(proofOf(), { now: now + 49_000 }), 'holds', 'within what clocks may differ by')
  t.equal(judged(proofOf(), { now: now + 50_000 }), 'LICD_PROOF_EXPIRED')
  t.equal(judged(proofOf(), { now: now + 20_000, toleranceMs: 0 }), 'LICD_PROOF_EXPIRED')
  t.equal(judged(proofOf(), { vendorKeys: [] }), 'LICD_CODE_UNTRUSTED')
})

t.test('it holds no longer than the shortest link', async t => {
  const until = (chain: Chain): number => {
    const verified = verifySeatProof(proofOf(chain), expected)
    return verified.ok ? verified.seat.validUntil - now : Number.NaN
  }
  t.equal(until({ order: { expiresAt: now + 5_000 } }), 5_000)
  t.equal(until({ server: { until: now + 6_000 } }), 6_000)
  t.equal(until({ claim: { until: now + 7_000 } }), 7_000)
})

t.test('links are not taken for each other', async t => {
  const whole = JSON.parse(proofOf()) as { code: string; server: string; seat: string }
  for (const [to, from] of [
    ['server', 'seat'],
    ['seat', 'server'],
    ['code', 'seat'],
    ['server', 'code'],
  ] as const) {
    t.not(judged(JSON.stringify({ ...whole, [to]: whole[from] })), 'holds', `${from} as ${to}`)
  }
})

t.test(
  'a key that the vendor\u2019s certified leads to its codes; a chain with a hole does not',
  async t => {
    const second = makeVendorKey('Acme Ltd')
    const third = makeVendorKey('Acme Inc')
    const keys = [certifyVendorKey(second, acme, now), certifyVendorKey(third, second, now)]
    t.equal(judged(proofOf({ vendor: second, keys: keys.slice(0, 1) })), 'holds')
    t.equal(judged(proofOf({ vendor: third, keys })), 'holds', 'and so on')
    t.equal(judged(proofOf({ vendor: third, keys: keys.slice(1) })), 'LICD_CODE_UNTRUSTED')
    t.equal(judged(proofOf({ vendor: third, keys: keys.slice(0, 1) })), 'LICD_CODE_UNTRUSTED')
    for (const { publicKey } of [second, third]) {
      const vendorKeys = [publicKey]
      t.equal(
        judged(proofOf({ vendor: third, keys }), { vendorKeys }),
        'holds',
        'a later key alone',
      )
      const before = judged(proofOf({ vendor: acme, keys }), { vendorKeys })
      t.equal(before, 'LICD_CODE_UNTRUSTED', 'and nothing by those before it')
    }
    const forged = certifyVendorKey(mallory, { ...mallory, kid: acme.kid }, now)
    t.equal(judged(proofOf({ vendor: mallory, keys: [forged] })), 'LICD_PROOF_FORGED')
  },
)

t.test('every altered character is noticed, and no text makes it throw', async t => {
  const proof = proofOf()
  for (let at = 0; at < proof.length; at++) {
    const other = proof[at] === 'A' ? 'B' : 'A'
    const altered = proof.slice(0, at) + other + proof.slice(at + 1)
    if (altered !== proof && judged(altered) === 'holds') t.fail(`holds with ${other} at ${at}`)
  }
  t.pass(`${proof.length} places tried`)
  for (const bad of ['', '{}', 'null', '[]', 'x', '{"v":2}', 'x'.repeat(70_000)]) {
    t.equal(judged(bad), 'LICD_PROOF_MALFORMED')
  }
  const whole = JSON.parse(proof) as Record<string, unknown>
  t.equal(judged(JSON.stringify({ ...whole, more: 1 })), 'LICD_PROOF_MALFORMED')
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(whole)), fc.anything(), (field, value) => {
      const text = JSON.stringify({ ...whole, [field]: value })
      return value === whole[field] || judged(text) !== 'holds'
    }),
    { numRuns: 300, seed: 20_261_128 },
  )
})
