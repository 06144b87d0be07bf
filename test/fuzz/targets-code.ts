/** What vendors and pools sign, and the files that people keep: keys, contexts, settings, addresses. */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseAddress } from '../../lib/access/address.ts'
import { contextContent, readContextFile } from '../../lib/access/context-file.ts'
import { makeAccount, makeCredentials, subjectOf } from '../../lib/access/nats-account.ts'
import { inspectCode } from '../../lib/code/inspect.ts'
import { makeSigningKey, signJws } from '../../lib/code/jws.ts'
import { certifyServer, proveSeat, verifySeatProof } from '../../lib/code/seat-proof.ts'
import { signCode, type CodeOrder } from '../../lib/code/sign.ts'
import { certifyVendorKey, readVendorCertificate } from '../../lib/code/vendor-certificate.ts'
import {
  makeVendorKey,
  readVendorKey,
  readVendorSigner,
  thumbprint,
} from '../../lib/code/vendor-key.ts'
import { verifyCode } from '../../lib/code/verify.ts'
import { isCode } from '../../lib/error.ts'
import { parseHttpAddress, parseHttpUrl } from '../../lib/http/address.ts'
import { natsOptions } from '../../lib/nats-context.ts'
import { readServerFile } from '../../lib/pool-files.ts'
import { generatePoolKey, keyFileContent, readPoolKey } from '../../lib/pool-key.ts'
import { parseServers } from '../../cmd/servers.ts'
import { Settings } from '../../cmd/settings.ts'
import { readAccountFile } from '../../lib/account-file.ts'
import { connectNats } from '../../raft/nats-bus.ts'
import { bytesOf, codedOr, codedOrLater, jsonBytes, target, textOf, type Target } from './target.ts'
import { inFile } from './targets-ledger.ts'

const now = Date.UTC(2026, 5, 1)
const day = 86_400_000
const acme = makeVendorKey('Acme Ltd')
const second = makeVendorKey('Acme Ltd')
const poolKey = makeSigningKey()
const serverKey = makeSigningKey()
const nonce = new Uint8Array(16).fill(5)
const fingerprint = thumbprint(poolKey.publicKey)
const order: CodeOrder = {
  ...{
    codeId: 'code-1',
    customer: 'M\u00fcller',
    kind: 'feature',
    feature: 'cad',
    version: '2026',
  },
  ...{ allocations: 5, startsAt: now - day, expiresAt: now + day, issuedAt: now - day },
  ...{ fingerprint, serves: ['cad@2025'], limits: { leaseMs: 60_000 }, renews: 'code-0' },
}
const { serves: _serves, limits: _limits, renews: _renews, ...plainOrder } = order
const codes = [signCode(order, acme), signCode(plainOrder, acme)]
const certificate = certifyVendorKey(second, acme, now)
const seal = certifyServer(
  { server: 'alpha', key: serverKey, from: now - day, until: now + day },
  poolKey,
)
const claim = {
  feature: 'cad@2026',
  seatId: 'r',
  server: 'alpha',
  nonce,
  from: now,
  until: now + 9,
}
const proof = proveSeat(claim, seal, {
  ...{ code: codes[0] ?? '', keys: [certificate], poolPublicKey: poolKey.publicKey },
})
const payloadOf = (jws: string): Uint8Array =>
  Uint8Array.from(Buffer.from(jws.split('.')[1] ?? '', 'base64url'))

/** Signs whatever bytes these are, as somebody would who has the key and bad intentions. */
function signed(typ: string, key: typeof poolKey): (payload: Uint8Array) => Uint8Array {
  const kid = thumbprint(key.publicKey)
  return payload => {
    // Bytes that are no JSON stand in the text all the same: unsigned then, for the signer writes JSON.
    let value: unknown
    try {
      value = JSON.parse(textOf(payload))
    } catch {
      return bytesOf(`${Buffer.from('{}').toString('base64url')}.${textOf(payload)}.AA`)
    }
    const body = typeof value === 'object' && value !== null ? value : { value }
    return bytesOf(signJws(body, { kid, typ }, key))
  }
}

interface Judged {
  readonly ok: boolean
  readonly code?: string
}

/** A refusal must be coded. */
function good<Value extends Judged>(judged: Value): Value | undefined {
  if (judged.ok) return judged
  if (judged.code === undefined || !isCode(judged.code)) throw new Error(JSON.stringify(judged))
  return undefined
}

const vendors = [acme, { ...second, revoked: true as const }]
const expected = { vendorKeys: [acme.publicKey], feature: 'cad@2026', nonce, now }
const trusted = { publicKey: acme.publicKey, privateKey: acme.privateKey }

const signedTexts: readonly Target[] = [
  target({
    name: 'license code, signed',
    form: 'json',
    corpus: codes.map(payloadOf),
    seal: signed('licd-code+jwt', trusted),
    read: bytes => {
      inspectCode(textOf(bytes))
      return good(verifyCode(textOf(bytes), { vendors, fingerprint, now }))
    },
  }),
  target({
    name: 'license code',
    form: 'bytes',
    corpus: codes.map(bytesOf),
    read: bytes => {
      inspectCode(textOf(bytes))
      const judged = good(verifyCode(textOf(bytes), { vendors, fingerprint, now }))
      if (judged !== undefined && !codes.includes(textOf(bytes))) {
        throw new Error('a code that nobody signed')
      }
      return judged
    },
  }),
  target({
    name: 'vendor certificate, signed',
    form: 'json',
    corpus: [payloadOf(certificate)],
    seal: signed('licd-vendor-key+jwt', trusted),
    read: bytes => good(readVendorCertificate(textOf(bytes), vendors)),
  }),
  target({
    name: 'vendor certificate',
    form: 'bytes',
    corpus: [bytesOf(certificate)],
    read: bytes => good(readVendorCertificate(textOf(bytes), vendors)),
  }),
  target({
    name: 'proof of a seat',
    form: 'json',
    corpus: [bytesOf(proof)],
    read: bytes => good(verifySeatProof(textOf(bytes), expected)),
  }),
  target({
    name: 'proof of a seat, signed',
    form: 'json',
    corpus: [payloadOf((JSON.parse(proof) as { seat: string }).seat)],
    seal: body => {
      const seat = textOf(signed('licd-seat+jwt', serverKey)(body))
      return jsonBytes({ ...(JSON.parse(proof) as object), seat })
    },
    read: bytes => good(verifySeatProof(textOf(bytes), expected)),
  }),
]

const account = makeAccount('default', now)
const credentials = makeCredentials(account, {
  ...{ pool: 'default', role: 'client', name: 'ws1', now },
})
const context = contextContent({
  ...{ pool: 'default', role: 'client', name: 'ws1', inboxPrefix: '_INBOX.client.ws1' },
  ...{ url: 'tls://127.0.0.1:4222', ca: '-----BEGIN CERTIFICATE-----', credentials },
})
const { jwk, fingerprint: ofPool } = generatePoolKey()
const identity = { pool: 'default', fingerprint: ofPool, clusterId: 'x', epoch: 1 }
const authority = {
  certificates: { key: 'k', certificate: 'c' },
  account,
  servers: new Map([['alpha', { host: '127.0.0.1', port: 4222 }]]),
  issued: [{ role: 'client' as const, name: 'ws7', key: `U${'A'.repeat(55)}`, at: 1 }],
}
const macKeys = [3, 4].map(byte => new Uint8Array(32).fill(byte))
const keyFile = { ...identity, macKeys: macKeys.slice(0, 1), jwk }

/** A file's reader: it gives a value or one of our errors. */
function file(
  name: string,
  corpus: readonly Uint8Array[],
  read: (path: string) => Promise<unknown>,
): Target {
  return target({
    name,
    form: 'json',
    corpus,
    read: bytes => inFile(bytes, path => codedOrLater(() => read(path))),
  })
}

const files: readonly Target[] = [
  file('context file', [jsonBytes(context)], async path => {
    const read = await readContextFile(path)
    const options = await natsOptions({ context: `${path}.context` }, {}).catch(() => undefined)
    return [read, options]
  }),
  file(
    'pool.key and pool.join',
    [keyFile, { ...keyFile, authority }, { ...keyFile, macKeys }].map(k =>
      jsonBytes(keyFileContent(k)),
    ),
    readPoolKey,
  ),
  file(
    'account file',
    [jsonBytes({ format: 1, pool: 'default', account: account.accountJwt })],
    readAccountFile,
  ),
  file(
    'vendor key',
    [jsonBytes({ kty: 'OKP', crv: 'Ed25519', x: acme.publicKey, kid: acme.kid, name: acme.name })],
    readVendorKey,
  ),
  file(
    'vendor key, private',
    [
      jsonBytes({
        kty: 'OKP',
        crv: 'Ed25519',
        x: acme.publicKey,
        d: acme.privateKey,
        name: acme.name,
      }),
    ],
    readVendorSigner,
  ),
  file(
    'configuration file',
    [jsonBytes({ pool: 'p', timeout: 5, nats: 'nats://h:1', wait: 0.5 })],
    path => {
      const settings = new Settings({ LICD_TIMEOUT: '5' }, path)
      return Promise.resolve(['pool', 'wait', 'nats', 'data'].map(name => settings.find(name)))
    },
  ),
  target({
    name: 'server.json',
    form: 'json',
    corpus: [jsonBytes({ format: 1, ...identity, server: 'alpha', servers: ['alpha', 'beta'] })],
    read: bytes =>
      inFile(bytes, path =>
        codedOrLater(() => {
          writeFileSync(path.replace(/case$/, 'server.json'), readFileSync(path))
          return readServerFile(path.replace(/\/case$/, ''))
        }),
      ),
  }),
]

const texts: readonly Target[] = [
  target({
    name: 'NATS credentials',
    form: 'bytes',
    corpus: [bytesOf(credentials)],
    // They are read as the connection is made; nobody listens there.
    read: bytes =>
      codedOrLater(async () => {
        const servers = ['nats://127.0.0.1:1']
        await connectNats({ servers, credentials: textOf(bytes), waitMs: 0 }).catch(
          (error: unknown) => {
            if (error instanceof Error && 'code' in error) return
            throw error
          },
        )
        return textOf(bytes)
      }),
  }),
  target({
    name: 'NATS account',
    form: 'bytes',
    corpus: [bytesOf(account.accountJwt)],
    read: bytes => codedOr(() => subjectOf(textOf(bytes))),
  }),
  target({
    name: 'NATS addresses',
    form: 'bytes',
    corpus: ['nats://u:p@h:4222,tls://[::1]:1', 'token@host', 'h'].map(bytesOf),
    read: bytes => codedOrLater(() => natsOptions({ nats: textOf(bytes) }, {})),
  }),
  target({
    name: 'hosts and servers',
    form: 'bytes',
    corpus: ['alpha=host1:4222,beta=[::1]:5', 'alpha,beta'].map(bytesOf),
    read: bytes => {
      const text = textOf(bytes)
      codedOr(() => parseAddress(text))
      codedOr(() => parseHttpAddress(text))
      codedOr(() => parseHttpUrl(text))
      return codedOr(() => parseServers('--servers', text))
    },
  }),
]

export const codeTargets = [...signedTexts, ...files, ...texts]
