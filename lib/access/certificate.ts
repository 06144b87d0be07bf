/**
 * The pool's own certificate authority: the certificates by which nats-servers of a pool know each other, and by
 * which clients know them (RFC 5280; ECDSA P-256, SHA-256).
 *
 * Written here and not by a library: Node signs and checks certificates but makes none, and what makes them is 20
 * packages with a patched global object, or another implementation of cryptography. These are two fixed forms, and each
 * is read back and checked by OpenSSL (through Node) before it leaves this file.
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  sign,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { LicdError } from '../error.ts'

/** A key and its certificate, both PEM. */
export interface Certified {
  readonly key: string
  readonly certificate: string
}

export interface Issue {
  /** Milliseconds since 1970: valid from a day before (clocks differ), see {@link validYears}. */
  readonly now: number
  /** 16 random bytes and more, for the serial number. */
  readonly randomBytes: (count: number) => Uint8Array
}

/** An end that nobody remembers stops a pool on that day: far beyond a server's life. */
export const validYears = 20
const dayMs = 86_400_000
/** Any 8 bits that begin with 0 and are not all 0: a positive serial. */
const serialBytes = 16

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  text: 0x0c,
  utcTime: 0x17,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

const oids = {
  commonName: [2, 5, 4, 3],
  ecdsaSha256: [1, 2, 840, 10045, 4, 3, 2],
  subjectKeyId: [2, 5, 29, 14],
  keyUsage: [2, 5, 29, 15],
  subjectAltName: [2, 5, 29, 17],
  basicConstraints: [2, 5, 29, 19],
  authorityKeyId: [2, 5, 29, 35],
  extendedKeyUsage: [2, 5, 29, 37],
  serverAuth: [1, 3, 6, 1, 5, 5, 7, 3, 1],
  clientAuth: [1, 3, 6, 1, 5, 5, 7, 3, 2],
} as const

/** A new authority that certifies servers and nothing else. */
export function makeAuthority(name: string, issue: Issue): Certified {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = encodeCertificate(issue, {
    subject: name,
    issuer: name,
    publicKey: pair.publicKey,
    signer: pair.privateKey,
    extensions: [
      // It is an authority; those it certifies are none.
      extension(oids.basicConstraints, sequence(boolean(true), integer(Buffer.of(0))), true),
      extension(oids.keyUsage, tlv(tags.bits, Buffer.of(1, 0b0000_0110)), true),
      extension(oids.subjectKeyId, tlv(tags.octets, keyId(pair.publicKey))),
    ],
  })
  const made = new X509Certificate(certificate)
  if (!made.ca || !made.verify(pair.publicKey)) throw wrong('authority')
  return { key: pem(pair.privateKey), certificate }
}

/**
 * A key and a certificate for the nats-server of `name`, good for `hosts` (names or addresses) and this host itself,
 * both as a server and, among servers, as a client.
 *
 * @throws LicdError LICD_BAD_KEY (the authority's key cannot be read)
 */
export function certifyServer(
  authority: Certified,
  server: { readonly name: string; readonly hosts: readonly string[] },
  issue: Issue,
): Certified {
  const { signer, of } = readAuthority(authority)
  const hosts = [...new Set([...server.hosts, 'localhost', '127.0.0.1', '::1'])]
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = encodeCertificate(issue, {
    subject: server.name,
    issuer: commonName(of),
    publicKey: pair.publicKey,
    signer,
    extensions: [
      extension(oids.basicConstraints, sequence(), true),
      extension(oids.keyUsage, tlv(tags.bits, Buffer.of(7, 0b1000_0000)), true),
      extension(oids.extendedKeyUsage, sequence(oid(oids.serverAuth), oid(oids.clientAuth))),
      extension(oids.subjectAltName, sequence(...hosts.map(alternativeName))),
      extension(oids.authorityKeyId, sequence(tlv(0x80, keyId(of.publicKey)))),
      extension(oids.subjectKeyId, tlv(tags.octets, keyId(pair.publicKey))),
    ],
  })
  const made = new X509Certificate(certificate)
  const isFor = (host: string): boolean =>
    (isIP(host) === 0 ? made.checkHost(host) : made.checkIP(host)) !== undefined
  if (!made.checkIssued(of) || !made.verify(of.publicKey) || !hosts.every(isFor)) {
    throw wrong(server.name)
  }
  return { key: pem(pair.privateKey), certificate }
}

function readAuthority({ key, certificate }: Certified): {
  signer: KeyObject
  of: X509Certificate
} {
  try {
    const signer = createPrivateKey(key)
    const of = new X509Certificate(certificate)
    if (of.ca && of.checkPrivateKey(signer)) return { signer, of }
  } catch {
    // Said below: what the parser says of a key is no help, and may quote it.
  }
  throw new LicdError(
    'LICD_BAD_KEY',
    'The key of the pool\u2019s certificate authority is damaged.',
  )
}

function commonName(certificate: X509Certificate): string {
  return /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? ''
}

function wrong(what: string): LicdError {
  return new LicdError(
    'LICD_INTERNAL',
    `The certificate made for ${what} is not what it should be.`,
  )
}

interface Content {
  readonly subject: string
  readonly issuer: string
  readonly publicKey: KeyObject
  readonly signer: KeyObject
  readonly extensions: readonly Buffer[]
}

/** RFC 5280, 4.1. */
function encodeCertificate({ now, randomBytes }: Issue, content: Content): string {
  const algorithm = sequence(oid(oids.ecdsaSha256))
  const serial = Buffer.from(randomBytes(serialBytes))
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  const until = new Date(now)
  until.setUTCFullYear(until.getUTCFullYear() + validYears)
  const toBeSigned = sequence(
    tlv(0xa0, integer(Buffer.of(2))),
    integer(serial),
    algorithm,
    distinguishedName(content.issuer),
    sequence(time(new Date(now - dayMs)), time(until)),
    distinguishedName(content.subject),
    content.publicKey.export({ format: 'der', type: 'spki' }),
    tlv(0xa3, sequence(...content.extensions)),
  )
  const signature = sign('sha256', toBeSigned, content.signer)
  const whole = sequence(toBeSigned, algorithm, tlv(tags.bits, Buffer.of(0), signature))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}

function distinguishedName(name: string): Buffer {
  return sequence(
    tlv(tags.set, sequence(oid(oids.commonName), tlv(tags.text, Buffer.from(name, 'utf8')))),
  )
}

/** RFC 5280, 4.1.2.5: two digits of the year before 2050, four from then on. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  const isEarly = date.getUTCFullYear() < 2050
  return tlv(isEarly ? tags.utcTime : tags.time, Buffer.from(isEarly ? digits.slice(2) : digits))
}

/** RFC 5280, 4.2.1.2 (1): a name for the key, no proof of anything. */
function keyId(key: KeyObject): Buffer {
  const spki = key.export({ format: 'der', type: 'spki' })
  return createHash('sha1').update(spki).digest()
}

function extension(id: readonly number[], value: Buffer, isCritical = false): Buffer {
  return sequence(oid(id), ...(isCritical ? [boolean(true)] : []), tlv(tags.octets, value))
}

function alternativeName(host: string): Buffer {
  return isIP(host) === 0 ? tlv(0x82, Buffer.from(host, 'latin1')) : tlv(0x87, addressBytes(host))
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  // The URL parser writes all forms of an address in one: hexadecimal groups with at most one gap.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [before = '', after] = text.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const [head, tail] = [groups(before), groups(after ?? '')]
  const gap = Array<string>(8 - head.length - tail.length).fill('0')
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...head, ...gap, ...tail].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2)
  }
  return bytes
}

function oid([first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return tlv(tags.oid, Buffer.from(bytes))
}

function integer(bytes: Buffer): Buffer {
  return tlv(tags.integer, bytes)
}

function boolean(value: boolean): Buffer {
  return tlv(tags.boolean, Buffer.of(value ? 0xff : 0))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(tags.sequence, ...parts)
}

/** DER: tag, length, value. */
function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts)
  const { length } = value
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), value])
  const size = Buffer.from([length >>> 16, (length >>> 8) & 0xff, length & 0xff])
  const short = size.subarray(size.findIndex(byte => byte > 0))
  return Buffer.concat([Buffer.of(tag, 0x80 | short.length), short, value])
}
