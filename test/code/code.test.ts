import fc from 'fast-check'
import { CompactSign, compactVerify, importJWK, SignJWT, UnsecuredJWT } from 'jose'
import t from 'tap'
import { codeBounds, parseCode, type CodeClaims } from '../../lib/code/claims.ts'
import { inspectCode, tidyCode } from '../../lib/code/inspect.ts'
import { signCode, type CodeOrder } from '../../lib/code/sign.ts'
import { makeVendorKey, type VendorSigner } from '../../lib/code/vendor-key.ts'
import { verifyCode } from '../../lib/code/verify.ts'

const fingerprint = 'oPw5OQcBzVVt2lJ3ZkPz4n2a5mR1mPqYx0d3i5j7k9A'
const day = 86_400_000
const now = Date.UTC(2026, 0, 15)

const acme = makeVendorKey('Acme Ltd')
const order: CodeOrder = {
  codeId: 'code-1',
  customer: 'Müller & Söhne',
  fingerprint,
  kind: 'feature',
  feature: 'cad',
  version: '2026',
  allocations: 25,
  startsAt: now - day,
  expiresAt: now + day,
  issuedAt: now - 2 * day,
}

const pool = { vendors: [acme], fingerprint, now }

async function keyOf({ publicKey, privateKey }: VendorSigner) {
  return importJWK({ kty: 'OKP', crv: 'Ed25519', x: publicKey, d: privateKey }, 'EdDSA')
}

/** Signs anything at all, as an attacker or a broken tool would. */
async function signRaw(payload: unknown, header: Record<string, unknown> = {}, signer = acme) {
  const bytes = new TextEncoder().encode(JSON.stringify(payload))
  return new CompactSign(bytes)
    .setProtectedHeader({ alg: 'EdDSA', kid: acme.kid, typ: 'licd-code+jwt', ...header })
    .sign(await keyOf(signer))
}

const claims: CodeClaims = {
  jti: 'code-1',
  iss: 'Acme Ltd',
  sub: 'customer',
  aud: fingerprint,
  iat: now / 1000,
  nbf: now / 1000,
  licd: { v: 1, kind: 'feature', feature: 'cad', allocations: 1 },
}

async function codeOfRefusal(text: string, options = pool): Promise<string> {
  const verified = verifyCode(text, options)
  return verified.ok ? 'accepted' : verified.code
}

t.test('a signed code verifies and says what was ordered', async t => {
  const text = signCode(order, acme)
  t.same(verifyCode(text, pool), {
    ok: true,
    content: {
      codeId: 'code-1',
      kid: acme.kid,
      vendor: 'Acme Ltd',
      customer: 'Müller & Söhne',
      feature: 'cad@2026',
      kind: 'feature',
      allocations: 25,
      startsAt: now - day,
      expiresAt: now + day,
      issuedAt: now - 2 * day,
    },
  })
  const inspected = inspectCode(text)
  t.ok(inspected.ok && inspected.content.feature === 'cad@2026')
  t.ok(inspected.ok && inspected.fingerprint === fingerprint)
})

t.test('a code without version or end, and one that starts later, are good', async t => {
  const { version: _version, expiresAt: _expiresAt, ...forever } = order
  const text = signCode({ ...forever, startsAt: now + 30 * day, kind: 'allocations' }, acme)
  const verified = verifyCode(text, pool)
  t.ok(verified.ok && verified.content.feature === 'cad')
  t.ok(verified.ok && verified.content.kind === 'allocations')
  t.ok(verified.ok && !('expiresAt' in verified.content))
})

t.test('every altered character is noticed', async t => {
  const text = signCode(order, acme)
  for (let index = 0; index < text.length; index++) {
    const other = text[index] === 'A' ? 'B' : 'A'
    const altered = text.slice(0, index) + other + text.slice(index + 1)
    if (altered === text) continue
    const refused = await codeOfRefusal(altered)
    if (refused === 'accepted') t.fail(`accepted with ${other} at ${index}`)
  }
  t.pass(`${text.length} places tried`)
})

t.test('an altered payload is forged, by name', async t => {
  const [header = '', payload = '', signature = ''] = signCode(order, acme).split('.')
  const more = JSON.parse(Buffer.from(payload, 'base64url').toString()) as CodeClaims
  const altered = { ...more, licd: { ...more.licd, allocations: 1_000 } }
  const text = [header, Buffer.from(JSON.stringify(altered)).toString('base64url'), signature].join(
    '.',
  )
  t.equal(await codeOfRefusal(text), 'LICD_CODE_FORGED')
})

t.test('a signature by another key under the same kid is forged', async t => {
  const mallory = makeVendorKey('Acme Ltd')
  t.equal(await codeOfRefusal(await signRaw(claims, {}, mallory)), 'LICD_CODE_FORGED')
  t.equal(await codeOfRefusal(signCode(order, { ...mallory, kid: acme.kid })), 'LICD_CODE_FORGED')
})

t.test('alg none and symmetric algorithms are forged, whatever the signature', async t => {
  const unsecured = new UnsecuredJWT({ ...claims }).encode()
  t.equal(await codeOfRefusal(unsecured), 'LICD_CODE_MALFORMED', 'no type either')
  const header = { alg: 'none', kid: acme.kid, typ: 'licd-code+jwt' }
  const [, payload = ''] = unsecured.split('.')
  const none = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}.`
  t.equal(await codeOfRefusal(none), 'LICD_CODE_FORGED')
  const hmac = await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', kid: acme.kid, typ: 'licd-code+jwt' })
    .sign(Buffer.from(acme.publicKey, 'base64url'))
  t.equal(await codeOfRefusal(hmac), 'LICD_CODE_FORGED')
})

t.test('a key that the pool does not trust', async t => {
  const mallory = makeVendorKey('Acme Ltd')
  const text = signCode(order, mallory)
  t.equal(await codeOfRefusal(text), 'LICD_CODE_UNTRUSTED')
  t.equal(await codeOfRefusal(text, { ...pool, vendors: [] }), 'LICD_CODE_UNTRUSTED')
  const renamed = signCode(order, { ...acme, name: 'Other Ltd' })
  t.equal(await codeOfRefusal(renamed), 'LICD_CODE_UNTRUSTED', 'a trusted key under another name')
})

t.test('a code for another pool, and one that has ended', async t => {
  const text = signCode(order, acme)
  t.equal(await codeOfRefusal(text, { ...pool, fingerprint: 'another' }), 'LICD_CODE_FOREIGN')
  t.equal(await codeOfRefusal(text, { ...pool, now: now + day }), 'LICD_CODE_EXPIRED')
  t.equal(await codeOfRefusal(text, { ...pool, now: now + day - 1 }), 'accepted')
})

t.test('signed, but not a code', async t => {
  const licd = claims.licd
  const cases: Record<string, unknown> = {
    'no claims': {},
    'not an object': 7,
    'an array': [claims],
    'a field too many': { ...claims, admin: true },
    'an audience list': { ...claims, aud: [fingerprint] },
    'a fraction of an allocation': { ...claims, licd: { ...licd, allocations: 1.5 } },
    'no allocations': { ...claims, licd: { ...licd, allocations: 0 } },
    'too many allocations': { ...claims, licd: { ...licd, allocations: 1e9 + 1 } },
    'negative allocations': { ...claims, licd: { ...licd, allocations: -5 } },
    'allocations as text': { ...claims, licd: { ...licd, allocations: '5' } },
    'another version': { ...claims, licd: { ...licd, v: 3 } },
    'a limit in version 1': { ...claims, licd: { ...licd, limits: { seat: 60 } } },
    'a renewal in version 1': { ...claims, licd: { ...licd, renews: 'code-0' } },
    'no limits': { ...claims, licd: { ...licd, v: 2, limits: {} } },
    'an unknown limit': { ...claims, licd: { ...licd, v: 2, limits: { users: 5 } } },
    'a limit of nothing': { ...claims, licd: { ...licd, v: 2, limits: { lease: 0 } } },
    'a limit in parts of a second': { ...claims, licd: { ...licd, v: 2, limits: { seat: 1.5 } } },
    'serving nothing': { ...claims, licd: { ...licd, v: 2, serves: [] } },
    'serving itself': { ...claims, licd: { ...licd, v: 2, serves: ['cad'] } },
    'serving another feature': { ...claims, licd: { ...licd, v: 2, serves: ['cam@1'] } },
    'serving one twice': { ...claims, licd: { ...licd, v: 2, serves: ['cad@1', 'cad@1'] } },
    'serving very many': {
      ...claims,
      licd: { ...licd, v: 2, serves: Array.from({ length: 17 }, (_, n) => `cad@${n}`) },
    },
    'renewing itself': { ...claims, licd: { ...licd, v: 2, renews: claims.jti } },
    'another kind': { ...claims, licd: { ...licd, kind: 'everything' } },
    'a version inside the name': { ...claims, licd: { ...licd, feature: 'cad@2026' } },
    'a wildcard feature': { ...claims, licd: { ...licd, feature: '>' } },
    'a feature with a dot': { ...claims, licd: { ...licd, feature: 'a.b' } },
    'an empty id': { ...claims, jti: '' },
    'a long id': { ...claims, jti: 'x'.repeat(65) },
    'a terminal escape in the customer': { ...claims, sub: 'a\u001b[2Jb' },
    'a bidi override in the vendor': { ...claims, iss: 'Acme\u202eLtd' },
    'an end before the start': { ...claims, exp: claims.nbf },
    'a start in fractions': { ...claims, nbf: 1.5 },
    'a start before 1970': { ...claims, nbf: -1 },
    'an end past the year 9999': { ...claims, exp: codeBounds.secondsMax + 1 },
  }
  for (const [name, payload] of Object.entries(cases)) {
    t.equal(await codeOfRefusal(await signRaw(payload)), 'LICD_CODE_MALFORMED', name)
  }
  t.equal(await codeOfRefusal(await signRaw(claims)), 'accepted', 'and the one that is')
  t.equal(await codeOfRefusal(await signRaw(claims, { typ: 'JWT' })), 'LICD_CODE_MALFORMED')
  t.equal(await codeOfRefusal(await signRaw(claims, { x5u: 'http://x' })), 'LICD_CODE_MALFORMED')
})

t.test('it is said which claim is wrong, and how', async t => {
  const { licd } = claims
  const cases: [payload: object, detail: string][] = [
    [{ ...claims, nbf: -1 }, '`nbf` must be >= 0'],
    [{ ...claims, licd: { ...licd, allocations: 1.5 } }, '`licd.allocations` must be integer'],
    [{ ...claims, licd: { ...licd, v: 3 } }, '`licd.v` must be 1 or 2'],
    [{ ...claims, licd: { ...licd, more: 1 } }, '`licd.more` is not known'],
    [{ ...claims, licd: { ...licd, v: 2, serves: [1] } }, '`licd.serves.0` must be string'],
    [{ ...claims, licd: { ...licd, v: 2, limits: {} } }, '`licd.limits` must not be empty'],
    [{ jti: 'x' }, '`iss` is missing'],
    [[], '`jti` is missing'],
  ]
  for (const [payload, detail] of cases) {
    const expected = { ok: false, detail: `Its payload is wrong: ${detail}.` }
    t.match(parseCode(await signRaw(payload)), expected)
  }
})

t.test('huge and non-canonical texts are refused', async t => {
  const text = signCode(order, acme)
  t.equal(await codeOfRefusal('A'.repeat(5_000_000)), 'LICD_CODE_MALFORMED')
  t.equal(
    await codeOfRefusal(await signRaw({ ...claims, sub: 'x'.repeat(9_000) })),
    'LICD_CODE_MALFORMED',
  )
  t.equal(
    await codeOfRefusal(`${text}\n`),
    'LICD_CODE_FORGED',
    'white space is not ours to forgive',
  )
  t.equal(await codeOfRefusal(` ${text}`), 'LICD_CODE_MALFORMED')
  t.equal(await codeOfRefusal(`${text}=`), 'LICD_CODE_FORGED')
  t.equal(await codeOfRefusal(''), 'LICD_CODE_MALFORMED')
  const mailed = text.replaceAll(/.{60}/g, '$&\r\n  ')
  t.equal(tidyCode(` ${mailed}\n`), text, 'the program forgives it')
})

t.test('garbage never throws and is never accepted', async () => {
  const base64url = fc.uint8Array({ maxLength: 200 }).map(b => Buffer.from(b).toString('base64url'))
  const json = fc.jsonValue().map(value => Buffer.from(JSON.stringify(value)).toString('base64url'))
  const part = fc.oneof(base64url, json)
  const header = fc.constantFrom(
    Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: acme.kid, typ: 'licd-code+jwt' })).toString(
      'base64url',
    ),
    'e30',
  )
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.tuple(fc.oneof(header, part), part, part).map(parts => parts.join('.')),
  )
  await fc.assert(
    fc.asyncProperty(texts, async text => {
      inspectCode(text)
      return !verifyCode(text, pool).ok
    }),
    { numRuns: 500 },
  )
})

t.test('a claim picked at random and changed is noticed', async () => {
  const [header = '', , signature = ''] = (await signRaw(claims)).split('.')
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('jti', 'iss', 'sub', 'aud'),
      fc.string(),
      async (key, value) => {
        const changed = { ...claims, [key]: value }
        if (JSON.stringify(changed) === JSON.stringify(claims)) return true
        const payload = Buffer.from(JSON.stringify(changed)).toString('base64url')
        return !verifyCode(`${header}.${payload}.${signature}`, pool).ok
      },
    ),
    { numRuns: 200 },
  )
})

t.test('an order that no pool would accept is not signed', async t => {
  const bad: Partial<CodeOrder>[] = [
    { allocations: 0 },
    { allocations: 2.5 },
    { feature: 'a b' },
    { feature: '' },
    { version: 'x/y' },
    { customer: '' },
    { customer: 'x'.repeat(129) },
    { codeId: 'a b' },
    { fingerprint: '*' },
    { expiresAt: order.startsAt },
    { startsAt: -1000 },
    { startsAt: Number.NaN },
  ]
  for (const change of bad) {
    t.throws(
      () => signCode({ ...order, ...change }, acme),
      { code: 'LICD_BAD_REQUEST' },
      JSON.stringify(change),
    )
  }
})

t.test('limits, versions and renewals travel in claims of version 2, and only those', async t => {
  const limits = { leaseMs: 3_600_000, seatMs: 60_000, offlineDays: 3 }
  const serves = ['cad@2025', 'cad']
  const text = signCode({ ...order, limits, serves, renews: 'code-0' }, acme)
  const verified = verifyCode(text, pool)
  t.match(verified, {
    ok: true,
    content: { limits, serves: ['cad', 'cad@2025'], renews: 'code-0' },
  })
  const payload = (of: string): unknown =>
    JSON.parse(Buffer.from(of.split('.')[1] ?? '', 'base64url').toString())
  t.match(payload(text), { licd: { v: 2, limits: { lease: 3_600, seat: 60, offlineDays: 3 } } })
  t.match(payload(signCode({ ...order, limits: {}, serves: [] }, acme)), { licd: { v: 1 } })
  t.throws(() => signCode({ ...order, serves: ['cam'] }, acme), { code: 'LICD_BAD_REQUEST' })
})

t.test('what is signed here is JWS as others know it', async t => {
  const text = signCode(order, acme)
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: acme.publicKey }, 'EdDSA')
  const { payload, protectedHeader } = await compactVerify(text, key, { algorithms: ['EdDSA'] })
  t.match(JSON.parse(new TextDecoder().decode(payload)), { jti: 'code-1' })
  t.same(protectedHeader, { alg: 'EdDSA', kid: acme.kid, typ: 'licd-code+jwt' })
})

t.test('a code by a revoked key is refused by name', async t => {
  const vendors = [{ ...acme, revoked: true } as const]
  t.match(verifyCode(signCode(order, acme), { ...pool, vendors }), { code: 'LICD_VENDOR_REVOKED' })
})
