import t from 'tap'
import {
  formatAddress,
  listenHost,
  monitorAddress,
  parseAddress,
  routePort,
} from '../../lib/access/address.ts'
import { parseServers } from '../../cmd/servers.ts'

t.test('where a nats-server is reached', t => {
  const good: [string, string, number][] = [
    ['host1', 'host1', 4222],
    ['n1.example.com:5000', 'n1.example.com', 5000],
    ['192.0.2.1', '192.0.2.1', 4222],
    ['192.0.2.1:1', '192.0.2.1', 1],
    ['2001:db8::1', '2001:db8::1', 4222],
    ['0.pool.ntp.org', '0.pool.ntp.org', 4222],
    ['[2001:db8::1]:4333', '2001:db8::1', 4333],
  ]
  for (const [text, host, port] of good) {
    const address = parseAddress(text)
    t.same(address, { host, port }, text)
    t.same(parseAddress(formatAddress(host, port)), address, 'and back')
    t.equal(routePort(address), port + 2000)
  }
  const bad = [
    '',
    ':4222',
    'a b',
    'host1:',
    'host1:0',
    'host1:63536',
    'host1:99999',
    '1.2.3',
    'a_b',
  ]
  bad.push(
    'nats://host1',
    'host1/x',
    '[host1]',
    '"x"',
    'user:pass@host',
    'a'.repeat(254),
    '-a',
    '[::1',
    '0.0.0.0',
    '0.0.0.0:4222',
    '::',
    '[::0]:4222',
    '0:0:0:0:0:0:0:0',
  )
  for (const text of bad) t.throws(() => parseAddress(text), { code: 'LICD_BAD_CONFIG' }, text)
  t.end()
})

t.test('an address of this host is listened on alone, any other may be a router\u2019s', t => {
  const hosts: [string, string][] = [
    ['127.0.0.2', '127.0.0.2'],
    ['::1', '::1'],
    ['localhost', '127.0.0.1'],
    ['host1', '0.0.0.0'],
    ['192.0.2.1', '0.0.0.0'],
  ]
  for (const [host, listens] of hosts) t.equal(listenHost({ host, port: 1 }), listens, host)
  t.end()
})

t.test('who is connected is told to this host alone', t => {
  t.equal(monitorAddress({ host: 'host1', port: 4222 }), '127.0.0.1:8222')
  t.equal(monitorAddress({ host: '127.0.0.2', port: 4222 }), '127.0.0.2:8222')
  t.equal(monitorAddress({ host: '::1', port: 5222 }), '[::1]:9222')
  t.equal(monitorAddress({ host: 'host1', port: 63_000 }), undefined, 'there is no such port')
  t.end()
})

t.test('servers on the command line', t => {
  t.same(parseServers('--servers', 'a, b'), { names: ['a', 'b'], addresses: undefined })
  const { names, addresses } = parseServers('--servers', 'a=h1,b=h1:5000')
  t.same(names, ['a', 'b'])
  t.same(
    [...(addresses ?? [])],
    [
      ['a', { host: 'h1', port: 4222 }],
      ['b', { host: 'h1', port: 5000 }],
    ],
  )
  for (const [text, why] of [
    ['a,a', /twice/],
    ['any', /not "any"/],
    ['a=h1,b', /no host for b/],
    ['a=h1,b=h1', /two ports/],
    ['a=', /no host name/],
    ['a=h1=h2', /no host name/],
  ] as const) {
    t.throws(() => parseServers('--servers', text), { code: 'LICD_USAGE', message: why }, text)
  }
  t.end()
})
