import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { makeSigningKey } from '../../lib/code/jws.ts'
import { generatePoolKey } from '../../lib/pool-key.ts'
import {
  checkVendorKey,
  makeVendorKey,
  readVendorKey,
  readVendorSigner,
  thumbprint,
  writeVendorKey,
} from '../../lib/code/vendor-key.ts'

const badKey = { code: 'LICD_BAD_KEY' }

t.test('a key pair is written, read again, and never overwritten', async t => {
  const folder = t.testdir()
  const { key, privateFile, publicFile } = await writeVendorKey('Acme', { folder, stem: 'acme' })
  t.equal((await stat(privateFile)).mode & 0o777, 0o600)
  t.same(await readVendorKey(publicFile), key)
  const signer = await readVendorSigner(privateFile)
  t.equal(signer.kid, key.kid)
  t.notOk((await readFile(publicFile, 'utf8')).includes(signer.privateKey))

  const before = await readFile(privateFile, 'utf8')
  await t.rejects(writeVendorKey('Acme', { folder, stem: 'acme' }), badKey)
  t.equal(await readFile(privateFile, 'utf8'), before)
})

t.test('an existing public file leaves no private one behind', async t => {
  const folder = t.testdir({ 'acme.pub.json': '{}' })
  await t.rejects(writeVendorKey('Acme', { folder, stem: 'acme' }), badKey)
  await t.rejects(stat(join(folder, 'acme.key.json')), { code: 'ENOENT' })
  t.equal(await readFile(join(folder, 'acme.pub.json'), 'utf8'), '{}')
})

t.test('the id of a key is its thumbprint (RFC 7638)', async t => {
  const { publicKey } = makeVendorKey('Acme')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey }
  t.equal(thumbprint(publicKey), await calculateJwkThumbprint(jwk))
})

t.test('no key is made whose id begins as an option does', t => {
  let odd = makeSigningKey()
  while (!thumbprint(odd.publicKey).startsWith('-')) odd = makeSigningKey()
  const even = makeVendorKey('Acme')
  const series = () => {
    const pairs = [odd, odd, even]
    return () => pairs.shift() ?? even
  }
  t.equal(makeVendorKey('Acme', series()).kid, even.kid)
  t.equal(generatePoolKey(series()).fingerprint, even.kid)
  const { publicKey } = odd
  const kid = thumbprint(publicKey)
  t.match(checkVendorKey({ kid, name: 'Acme', publicKey }), { kid }, 'one of before is good')
  t.end()
})

t.test('a key from outside is checked', async t => {
  const { kid, name, publicKey } = makeVendorKey('Acme')
  t.same(checkVendorKey({ kid, name, publicKey }), { kid, name, publicKey })
  const other = makeVendorKey('Acme')
  const short = Buffer.alloc(31).toString('base64url')
  const wrong = [
    { kid: other.kid, name, publicKey },
    { kid, name: '', publicKey },
    { kid, name: 'a\nb', publicKey },
    { kid, name: 'x'.repeat(65), publicKey },
    { kid: thumbprint(short), name, publicKey: short },
    { kid: thumbprint('!'), name, publicKey: '!' },
  ]
  for (const key of wrong) t.throws(() => checkVendorKey(key), badKey, JSON.stringify(key))
  t.throws(() => makeVendorKey(' '), badKey)
})

t.test('files that are no keys are refused by name', async t => {
  const folder = t.testdir({
    'text.json': 'hello',
    'empty.json': '{}',
    'huge.json': 'x'.repeat(20_000),
  })
  const { privateFile, publicFile } = await writeVendorKey('Acme', { folder, stem: 'acme' })
  await t.rejects(readVendorKey(privateFile), { ...badKey, message: /private key/ })
  await t.rejects(readVendorSigner(publicFile), { ...badKey, message: /no private key/ })
  for (const name of ['text.json', 'empty.json', 'huge.json', 'missing.json', '.']) {
    await t.rejects(readVendorKey(join(folder, name)), badKey, name)
  }

  await chmod(privateFile, 0o644)
  await t.rejects(readVendorSigner(privateFile), { ...badKey, message: /chmod 600/ })

  const mixed = JSON.parse(await readFile(privateFile, 'utf8')) as object
  const other = { ...mixed, d: makeVendorKey('Acme').privateKey }
  const mixedFile = join(folder, 'mixed.json')
  await writeFile(mixedFile, JSON.stringify(other), { mode: 0o600 })
  await t.rejects(readVendorSigner(mixedFile), { ...badKey, message: /not of one key/ })
  const named = { ...mixed, kid: makeVendorKey('Acme').kid }
  await writeFile(mixedFile, JSON.stringify(named), { mode: 0o600 })
  await t.rejects(readVendorSigner(mixedFile), { ...badKey, message: /thumbprint/ })
})
