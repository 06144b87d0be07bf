// The pool's own certificates: what they are good for, and for nothing else.
import { randomBytes, X509Certificate } from 'node:crypto'
import { createServer, connect, type TLSSocket } from 'node:tls'
import t from 'tap'
import { certifyServer, makeAuthority, validYears } from '../../lib/access/certificate.ts'

const now = Date.UTC(2026, 10, 28)
const issue = { now, randomBytes: (count: number) => new Uint8Array(randomBytes(count)) }
const authority = makeAuthority('licd test', issue)
const hosts = ['n1.example.com', '192.0.2.7', '2001:db8::1:0:7']

t.test('a server is certified for its hosts and for this host', t => {
  const made = new X509Certificate(
    certifyServer(authority, { name: 'alpha', hosts }, issue).certificate,
  )
  const of = new X509Certificate(authority.certificate)
  t.equal(made.subject, 'CN=alpha')
  t.equal(made.issuer, 'CN=licd test')
  t.ok(made.checkIssued(of))
  t.ok(made.verify(of.publicKey))
  t.notOk(made.ca, 'it certifies nobody')
  for (const host of ['n1.example.com', 'localhost']) t.ok(made.checkHost(host), host)
  for (const host of ['192.0.2.7', '2001:db8::1:0:7', '127.0.0.1', '::1'])
    t.ok(made.checkIP(host), host)
  t.notOk(made.checkHost('n2.example.com'))
  t.notOk(made.checkIP('192.0.2.8'))
  t.equal(new Date(made.validFrom).getTime(), now - 86_400_000, 'clocks differ')
  t.equal(new Date(made.validTo).getUTCFullYear(), 2026 + validYears)
  t.end()
})

t.test('years are written in two digits before 2050 and in four from then on', t => {
  for (const year of [2029, 2030, 2031, 2049, 2050, 2060]) {
    const at = { ...issue, now: Date.UTC(year, 5, 1) }
    const { certificate } = certifyServer(authority, { name: 'a', hosts }, at)
    const { validFrom, validTo } = new X509Certificate(certificate)
    t.equal(new Date(validFrom).getUTCFullYear(), year)
    t.equal(new Date(validTo).getUTCFullYear(), year + validYears)
  }
  t.end()
})

t.test('serial numbers are positive and of full length, whatever the dice say', t => {
  for (const byte of [0x00, 0x7f, 0x80, 0xff]) {
    const fixed = { now, randomBytes: (count: number) => new Uint8Array(count).fill(byte) }
    const { serialNumber } = new X509Certificate(makeAuthority('x', fixed).certificate)
    t.match(serialNumber, /^[4-7][0-9A-F]{31}$/)
  }
  t.end()
})

t.test('a damaged authority is refused, and its key is not quoted', t => {
  const other = makeAuthority('other', issue)
  for (const key of ['', 'SECRET', other.key]) {
    t.throws(() => certifyServer({ ...authority, key }, { name: 'a', hosts }, issue), {
      code: 'LICD_BAD_KEY',
      message: /^(?!.*SECRET)/,
    })
  }
  t.end()
})

t.test('a handshake of both sides succeeds within the pool and fails with any other', async t => {
  const alpha = certifyServer(authority, { name: 'alpha', hosts }, issue)
  const beta = certifyServer(authority, { name: 'beta', hosts }, issue)
  const elsewhere = makeAuthority('licd test', issue)
  const stranger = certifyServer(elsewhere, { name: 'beta', hosts }, issue)
  const ca = authority.certificate
  const server = createServer({
    ...{ key: alpha.key, cert: alpha.certificate, ca },
    requestCert: true,
    rejectUnauthorized: true,
  })
  server.on('tlsClientError', () => undefined)
  server.on('secureConnection', socket => socket.end('hello'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0

  const greeting = (options: object): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket: TLSSocket = connect({ host: '127.0.0.1', port, ...options })
      socket.once('data', (data: Buffer) => resolve(data.toString()))
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('closed without a word')))
      void socket.once('end', () => socket.destroy())
    })
  const certified = { key: beta.key, cert: beta.certificate }
  t.equal(await greeting({ ca, ...certified, servername: 'n1.example.com' }), 'hello')
  await t.rejects(
    greeting({ ca, key: stranger.key, cert: stranger.certificate }),
    'a stranger comes in',
  )
  await t.rejects(greeting({ ca }), 'nobody comes in')
  await t.rejects(greeting({ ca: elsewhere.certificate, ...certified }), 'a stranger answers')
  await t.rejects(
    greeting({ ca, ...certified, servername: 'n2.example.com' }),
    'another host answers',
  )
  await new Promise(resolve => server.close(resolve))
})
