/** The HTTP server alone: what it refuses, its bounds, and that nothing takes it down. */
import { createServer, request as send } from 'node:http'
import { createConnection, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { LicdError } from '../../lib/error.ts'
import { isOwnHost, parseHttpAddress, parseHttpUrl, urlOf } from '../../lib/http/address.ts'
import { json, Listener, type ListenerOptions } from '../../lib/http/listener.ts'
import { silentLogger } from '../../raft/ports.ts'

t.test('addresses', async t => {
  t.same(parseHttpAddress('127.0.0.1:80'), { host: '127.0.0.1', port: 80 })
  t.same(parseHttpAddress('[::1]:80'), { host: '::1', port: 80 })
  t.same(parseHttpAddress(':4290'), { host: '0.0.0.0', port: 4290 })
  t.equal(parseHttpAddress('off'), undefined)
  for (const text of ['', 'on', '4290', 'a b:1', 'host:99999', 'http://host:1', 'h:-1']) {
    t.throws(() => parseHttpAddress(text), { code: 'LICD_BAD_CONFIG' }, text)
  }
  t.equal(parseHttpUrl('https://licd.example.com/'), 'https://licd.example.com')
  for (const text of ['licd', 'ftp://a', 'https://a/b', 'https://u:p@a', 'https://a/?q']) {
    t.throws(() => parseHttpUrl(text), { code: 'LICD_BAD_CONFIG' }, text)
  }
  t.equal(urlOf({ host: '::1', port: 8 }), 'http://[::1]:8')
  t.notMatch(urlOf({ host: '0.0.0.0', port: 8 }), /0\.0\.0\.0/)
  const own = 'https://licd.example.com'
  for (const host of ['localhost:1', '127.0.0.1', '[::1]:9', 'licd.example.com']) {
    t.ok(isOwnHost(host, own), host)
  }
  for (const host of [undefined, '', 'evil.example', 'licd.example.com.evil', '10.0.0.1']) {
    t.notOk(isOwnHost(host, own), String(host))
  }
})

async function open(
  t: { teardown(end: () => unknown): void },
  more: Partial<ListenerOptions> = {},
): Promise<Listener> {
  const listener = new Listener({
    address: { host: '127.0.0.1', port: 0 },
    isDefault: false,
    log: silentLogger,
    handle: ({ path }) => {
      if (path === '/throws') throw new Error('a defect')
      if (path === '/refuses') throw new LicdError('LICD_BAD_REQUEST', 'No.')
      return json({ path })
    },
    ...more,
  })
  await listener.start()
  t.teardown(() => listener.close())
  return listener
}

/** Sends bytes as they are, and resolves with all that came back. */
async function raw({ url }: Listener, text: string): Promise<string> {
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8').on('data', (part: string) => (answer += part))
  socket.on('error', () => undefined)
  socket.write(text)
  await once(socket, 'close')
  return answer
}

t.test('answers, refuses by name, survives', async t => {
  const listener = await open(t)
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(listener.url + path, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  t.match(await ask('/a?b'), { status: 200, text: '{"path":"/a"}' })
  t.match(await ask('/a', { method: 'HEAD' }), { status: 200, text: '' })
  t.match(await ask('/a', { method: 'POST', body: 'x' }), { status: 405, text: /LICD_BAD_REQUEST/ })
  t.match(await ask('/refuses'), { status: 400, text: /"code":"LICD_BAD_REQUEST"/ })
  t.match(await ask('/throws'), { status: 500, text: /LICD_INTERNAL/ }, 'and tells no secrets')
  t.notMatch(await ask('/throws'), { text: /a defect/ })
  t.match(await ask(`/${'x'.repeat(3_000)}`), { status: 414 })
  const { headers } = await ask('/a')
  t.equal(headers.get('x-content-type-options'), 'nosniff')
  t.match(
    await raw(listener, 'GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'),
    / 421 /,
  )
  t.match(await raw(listener, 'nonsense\r\n\r\n'), / 400 /)
  const huge = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`
  t.match(await raw(listener, huge), /^HTTP\/1\.1 4\d\d /)
  t.match(await ask('/a'), { status: 200 }, 'it is still there')
})

t.test('so many connections and no more', async t => {
  const listener = await open(t)
  const port = Number(new URL(listener.url).port)
  const held = Array.from({ length: 128 }, () => createConnection(port, '127.0.0.1'))
  t.teardown(() => held.forEach(socket => socket.destroy()))
  await Promise.all(held.map(socket => once(socket, 'connect')))
  const one = createConnection(port, '127.0.0.1')
  one.on('error', () => undefined)
  await once(one, 'close')
  t.pass('one too many is closed')
  const [first] = held
  first?.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const data = first === undefined ? [] : await once(first, 'data')
  t.match(data.join(), / 200 /, 'those that are there are served')
})

t.test('a port that is taken: another where none was asked for, else later', async t => {
  const taken = createServer()
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const address = { host: '127.0.0.1', port }
  const other = await open(t, { address, isDefault: true })
  t.not(new URL(other.url).port, String(port))
  t.equal((await fetch(other.url)).status, 200)

  const events: string[] = []
  const log = { ...silentLogger, error: (event: string) => void events.push(event) }
  const waiting = await open(t, { address, log })
  t.same(events, ['http-unavailable'], 'it says so, and does not throw')
  t.equal(new URL(waiting.url).port, String(port))
  await waiting.close()
  await waiting.close()
})

t.test('a body is not read, and a stream is ended by closing', async t => {
  let ended = false
  const listener = await open(t, {
    handle: () => response => {
      response.writeHead(200)
      response.write('one')
      response.on('close', () => (ended = true))
    },
  })
  const request = send(listener.url)
  request.on('error', () => undefined).end()
  const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream]
  response.on('error', () => undefined)
  const [first] = (await once(response, 'data')) as [Buffer]
  t.equal(String(first), 'one')
  const gone = once(request, 'close')
  await listener.close()
  await gone
  t.ok(ended)
})
