// A vendor's key vouches for its next one; the ledger takes that word, and codes, only as they were signed.
import t from 'tap'
import { judge } from '../../lib/code/judge.ts'
import { isSignedBy } from '../../lib/code/jws.ts'
import { signCode, type CodeOrder } from '../../lib/code/sign.ts'
import { certifyVendorKey, readVendorCertificate } from '../../lib/code/vendor-certificate.ts'
import { makeVendorKey, type VendorSigner } from '../../lib/code/vendor-key.ts'
import { verifyCode } from '../../lib/code/verify.ts'
import type { VendorKey } from '../../lib/ledger/command.ts'
import { codeOf, epoch, Pool } from '../ledger/pool.ts'

const old = makeVendorKey('Acme Ltd')
const next = makeVendorKey('Acme Ltd')
const mallory = makeVendorKey('Acme Ltd')

function keyOf({ kid, name, publicKey }: VendorSigner): VendorKey {
  return { kid, name, publicKey }
}

t.test('a certificate says which key it is for and who vouches', async t => {
  const text = certifyVendorKey(next, old, epoch)
  t.same(readVendorCertificate(text, [old]), { ok: true, vendor: keyOf(next), signedBy: old.kid })
})

t.test('a certificate is refused when anything of it is not as it was signed', async t => {
  const text = certifyVendorKey(next, old, epoch)
  const codeOfRead = (
    given: string,
    vendors: Parameters<typeof readVendorCertificate>[1] = [old],
  ) => {
    const read = readVendorCertificate(given, vendors)
    return read.ok ? 'taken' : read.code
  }
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === 'A' ? 'B' : 'A'
    const altered = text.slice(0, at) + other + text.slice(at + 1)
    if (altered !== text && codeOfRead(altered) === 'taken') t.fail(`taken with ${other} at ${at}`)
  }
  t.equal(codeOfRead(certifyVendorKey(next, { ...mallory, kid: old.kid }, epoch)), 'LICD_BAD_KEY')
  t.equal(codeOfRead(certifyVendorKey(next, mallory, epoch)), 'LICD_UNKNOWN_VENDOR')
  t.equal(codeOfRead(text, [{ ...old, revoked: true }]), 'LICD_VENDOR_REVOKED')
  for (const bad of ['', 'a.b', '..', 'x'.repeat(5_000)]) t.equal(codeOfRead(bad), 'LICD_BAD_KEY')
})

const order: CodeOrder = {
  ...{ codeId: 'code-1', customer: 'us', fingerprint: 'print', kind: 'feature', feature: 'cad' },
  ...{ allocations: 9, startsAt: epoch - 5_000, issuedAt: epoch - 5_000 },
}

t.test('codes and certificates are not taken for each other', async t => {
  t.notOk(readVendorCertificate(signCode(order, old), [old]).ok)
  const vendors = [old]
  const verified = verifyCode(certifyVendorKey(next, old, epoch), {
    ...{ vendors, fingerprint: 'print', now: epoch },
  })
  t.match(verified, { ok: false, code: 'LICD_CODE_MALFORMED' })
})

/** What a server of the pool would propose for a text that it believes. */
function contentOf(text: string, by: VendorSigner) {
  const verified = verifyCode(text, { vendors: [by], fingerprint: 'print', now: epoch })
  if (!verified.ok) throw new Error(verified.detail)
  return verified.content
}

t.test(
  'every server looks at a code again when it is applied: a lying proposer gains nothing',
  async t => {
    const pool = new Pool({ judge, vendors: [keyOf(old)] })
    const text = signCode(order, old)
    const content = contentOf(text, old)
    const add = (change: object, of = text): string =>
      codeOf(pool.run({ type: 'add-code', text: of, content: { ...content, ...change } }))
    t.equal(add({ allocations: 1_000 }), 'LICD_CODE_FORGED', 'more than is signed')
    t.equal(add({ expiresAt: epoch + 1e9 }), 'LICD_CODE_FORGED', 'an end that is not signed')
    t.equal(add({}, 'no code'), 'LICD_CODE_MALFORMED')
    t.equal(add({}, signCode(order, { ...mallory, kid: old.kid })), 'LICD_CODE_FORGED')
    t.equal(add({}, signCode({ ...order, fingerprint: 'other' }, old)), 'LICD_CODE_FOREIGN')
    t.equal(add({}), 'ok')
    t.equal(pool.feature().allocations, 9)
  },
)

t.test('a pool of level 1 believes the proposer, as all its servers did before', async t => {
  const pool = new Pool({ judge, vendors: [keyOf(old)], level: 1 })
  const content = contentOf(signCode(order, old), old)
  t.equal(codeOf(pool.run({ type: 'add-code', text: 'no code', content })), 'ok')
})

t.test(
  'a certified key signs for the vendor; a certificate by nobody, or for another, does not',
  async t => {
    const pool = new Pool({ judge, vendors: [keyOf(old)] })
    const add = (certificate: string, vendor = keyOf(next), sameAs = old.kid): string =>
      codeOf(pool.run({ type: 'add-vendor', vendor, sameAs, certificate }))
    t.equal(add(certifyVendorKey(next, mallory, epoch)), 'LICD_UNKNOWN_VENDOR')
    t.equal(add(certifyVendorKey(next, { ...mallory, kid: old.kid }, epoch)), 'LICD_BAD_KEY')
    t.equal(add(certifyVendorKey(mallory, old, epoch)), 'LICD_BAD_KEY', 'for another key')
    t.equal(add('x'), 'LICD_BAD_KEY')
    t.equal(add(certifyVendorKey(next, old, epoch)), 'ok')
    const first = signCode(order, old)
    const second = signCode({ ...order, codeId: 'code-2', allocations: 3 }, next)
    for (const [text, by] of [
      [first, old],
      [second, next],
    ] as const) {
      t.equal(codeOf(pool.run({ type: 'add-code', text, content: contentOf(text, by) })), 'ok')
    }
    t.equal(pool.feature().allocations, 12, 'one feature by two keys')
    pool.run({ type: 'revoke-vendor', kid: old.kid })
    t.equal(pool.feature().allocations, 3)
  },
)

t.test('a key that is none verifies nothing', async t => {
  t.notOk(isSignedBy(signCode(order, old), 'A'.repeat(10)))
  t.notOk(isSignedBy('a.b.c', old.publicKey))
})
