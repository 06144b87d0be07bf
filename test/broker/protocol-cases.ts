/**
 * Cases of the conformance suite: what goes over the wire, and what becomes of a client that breaks the protocol.
 */
import { settle, take, type Cases } from './case.ts'
import { RawClient } from './raw-client.ts'

export const protocolCases: Cases = new Map()

protocolCases.set(
  'no notice where it was not asked for, or cannot be heard',
  async (t, { raw }) => {
    const silent = await raw({ headers: true })
    t.equal(await silent.talk('SUB r 1\r\nPUB nobody r 0\r\n\r\n'), '')
    const asking = await raw({ headers: true, no_responders: true })
    t.equal(await asking.talk('PUB nobody r 0\r\n\r\n'), '')
    t.equal(
      await asking.talk('SUB r.* 1\r\nPUB nobody r.1 0\r\n\r\n'),
      'HMSG r.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
    )
    t.equal(await asking.talk('PUB nobody 0\r\n\r\n'), '')
  },
)

protocolCases.set('a subscription is over after its maximum', async (t, { open, raw }) => {
  const nc = await open()
  let count = 0
  nc.subscribe('few', { max: 3, callback: () => void count++ })
  for (let at = 0; at < 10; at++) nc.publish('few')
  await settle(nc)
  t.equal(count, 3)

  const client = await raw()
  t.equal(
    await client.talk(`SUB s 1\r\n${'PUB s 0\r\n\r\n'.repeat(2)}UNSUB 1 3\r\n`),
    'MSG s 1 0\r\n\r\n'.repeat(2),
  )
  t.equal(await client.talk('PUB s 0\r\n\r\n'.repeat(3)), 'MSG s 1 0\r\n\r\n')
  // A maximum that has been passed ends it at once, as does none.
  t.equal(
    await client.talk('SUB s 2\r\nPUB s 0\r\n\r\nUNSUB 2 1\r\nPUB s 0\r\n\r\n'),
    'MSG s 2 0\r\n\r\n',
  )
  t.equal(await client.talk('SUB s 3\r\nUNSUB 3\r\nUNSUB 99\r\nPUB s 0\r\n\r\n'), '')
})

protocolCases.set('bad protocol ends that connection and no other', async (t, { open, raw }) => {
  const nc = await open()
  const { seen } = take(nc, '>', 1)
  await nc.flush()
  const said = ['GARBAGE\r\n', '\0\0\0\0\r\n', 'GET / HTTP/1.1\r\n', 'PUB a 1\r\nxyz\r\n']
  for (const text of said) {
    const client = await raw()
    client.send(text)
    await client.until("-ERR 'Unknown Protocol Operation'\r\n")
    await client.closed
  }
  const malformed = [
    'PUB\r\n',
    'PUB a\r\n',
    'PUB a b c 1\r\nx\r\n',
    'PUB a -1\r\n',
    'PUB a 1x\r\nx\r\n',
    'HPUB a 1\r\n',
    'HPUB a 20 5\r\n',
    'SUB\r\n',
    'SUB a\r\n',
    'SUB a b c d\r\n',
    'UNSUB\r\n',
    'UNSUB 1 2 3\r\n',
    'CONNECT {\r\n',
    'CONNECT []\r\n',
    'CONNECT {"verbose":"yes"}\r\n',
    'CONNECT {"no_responders":true,"headers":false}\r\n',
  ]
  for (const text of malformed) {
    const client = await raw({ headers: true })
    client.send(text)
    await client.closed
    t.pass(`closed after ${JSON.stringify(text)}`)
  }
  const headerless = await raw()
  headerless.send('HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n')
  await headerless.closed
  await settle(nc)
  t.equal(seen.length, 0)
})

protocolCases.set('a control line without end is cut off', async (t, { raw }) => {
  for (const text of [`PUB ${'a'.repeat(5000)} 0\r\n\r\n`, `SUB ${'a'.repeat(5000)}`]) {
    const client = await raw()
    client.send(text)
    t.match(await client.until('-ERR '), /maximum control line exceeded/i)
    await client.closed
  }
})

protocolCases.set(
  'subjects that are none are refused, the connection goes on',
  async (t, { raw }) => {
    const client = await raw({ pedantic: true })
    for (const subject of ['a..b', '.a', 'a.', '>.a', 'a.>.b']) {
      t.equal(await client.talk(`SUB ${subject} 1\r\n`), "-ERR 'Invalid Subject'\r\n", subject)
    }
    // It is said, and the message goes where it would go.
    t.equal(
      await client.talk('SUB > 1\r\nPUB a.* 0\r\n\r\n'),
      "-ERR 'Invalid Publish Subject'\r\nMSG a.* 1 0\r\n\r\n",
    )
    t.equal(await client.talk('SUB a 1\r\nPUB a 0\r\n\r\n'), 'MSG a 1 0\r\n\r\n', 'a second sid 1')
  },
)

protocolCases.set(
  'verbose clients are answered, also before they connect',
  async (t, { broker }) => {
    await using client = await RawClient.open(broker.port)
    t.equal(
      await client.talk('SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n'),
      '+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n+OK\r\n',
    )
    t.equal(await client.talk('CONNECT {"verbose":false}\r\nSUB a 2\r\n'), '')
    t.equal(await client.talk('CONNECT {"verbose":true}\r\n'), '+OK\r\n')
  },
)
