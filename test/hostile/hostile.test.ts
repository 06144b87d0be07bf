/**
 * Clients that mean harm, on a real server: what they try, what they get, and that others are served.
 *
 * The floods are small here; `npm run hostile` has them in full. What roles refuse is in `test/access/doors.test.ts`.
 */
import t from 'tap'
import { connect } from '../../lib/index.ts'
import { encodeRelease } from '../../lib/protocol/seat-codec.ts'
import type { SeatResult } from '../../lib/protocol/seat.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { makeToken, tokenKey } from '../../lib/token.ts'
import { connectNats } from '../../raft/index.ts'
import { ProcessPool } from '../pool-processes.ts'
import { RawSeatClient } from '../raw-seat-client.ts'
import { memoryBound } from './bound.ts'
import { Flooder } from './flooder.ts'
import { asLine, flood, floods } from './floods.ts'

t.setTimeout(900_000)

// Leases and seats of a minute: nothing here is about their end.
const pool = await ProcessPool.start({
  ...{ servers: ['alpha', 'beta', 'gamma'], tickMs: 200, leaseTicks: 600, seatTicks: 600 },
})
await pool.ctl(['feature', 'add', 'cad', '50', '--local'])
await pool.ctl(['feature', 'add', 'full', '1', '--local'])
const bus = await connectNats({ servers: [pool.nats.url] })
const raw = new RawSeatClient(bus)
t.teardown(async () => {
  await bus.close()
  await pool[Symbol.asyncDispose]()
})

const outcome = (result: SeatResult): string =>
  result.kind === 'refused' ? result.code : result.kind

t.test('forged, altered and foreign tokens renew nothing and release nothing', async t => {
  const token = await raw.acquire('alpha', 'victim', 'cad')
  const foreign = makeToken(tokenKey(new Uint8Array(32).fill(9)), 'default', {
    ...{ seatId: 'victim', feature: 'cad', server: 'alpha', incarnation: 1 },
    ...{ seatTick: 1, lastTick: 1_000_000 },
  })
  const other = await raw.acquire('alpha', 'other', 'cad')
  const forged: Record<string, Uint8Array> = {
    'another pool\u2019s': foreign,
    'another seat\u2019s': other,
    'cut off': token.subarray(0, -1),
    none: new Uint8Array(0),
    noise: new Uint8Array(90).fill(3),
  }
  for (let at = 0; at < token.length; at += 7) {
    const altered = Uint8Array.from(token)
    altered[at] = (altered[at] ?? 0) ^ 1
    forged[`altered at ${at}`] = altered
  }
  for (const [name, shown] of Object.entries(forged)) {
    for (const server of ['alpha', 'beta']) {
      const item = { seatId: 'victim', feature: 'cad', token: shown, failover: server === 'beta' }
      t.equal(outcome(await raw.renewOnce(server, item)), 'LICD_BAD_TOKEN', `${name}, ${server}`)
    }
    bus.publish(
      subjects('default').seat('alpha', 'release'),
      encodeRelease(1, 'thief', [{ seatId: 'victim', token: shown }]),
    )
  }
  const own = { seatId: 'victim', feature: 'cad', token, failover: false }
  t.equal(outcome(await raw.renewOnce('alpha', own)), 'renewed', 'its own client still has it')
})

t.test('a renewal and a move that are sent again', async t => {
  const token = await raw.acquire('alpha', 'walker', 'cad')
  const first = { seatId: 'walker', feature: 'cad', token, failover: false }
  t.equal(outcome(await raw.renewOnce('alpha', first)), 'renewed')
  t.equal(outcome(await raw.renewOnce('alpha', first)), 'renewed', 'of a seat that is there')
  t.equal(outcome(await raw.renewOnce('beta', { ...first, failover: true })), 'challenge')

  const challenge = await raw.renewOnce('beta', { ...first, failover: true })
  if (challenge.kind !== 'challenge') throw new Error(outcome(challenge))
  const confirm = challenge.nonce
  const atAlpha = { ...first, failover: true, confirm }
  t.equal(outcome(await raw.renewOnce('alpha', atAlpha)), 'renewed', 'a nonce of beta is none here')
  const other = await raw.acquire('alpha', 'walker2', 'cad')
  const stolen = { seatId: 'walker2', feature: 'cad', token: other, failover: true, confirm }
  t.equal(outcome(await raw.renewOnce('beta', stolen)), 'challenge', 'nor for another seat')
  const held = await raw.renewOnce('beta', { ...first, failover: true, confirm })
  t.equal(
    outcome(held),
    'renewed',
    'the server that holds it said yes: it moves on beta\u2019s spare',
  )
  t.equal(outcome(await raw.renewOnce('beta', { ...first, failover: true, confirm })), 'renewed')
  const { seats } = await pool.ctl<{ seats: readonly { seatId: string }[] }>(['seats'], 'beta')
  t.equal(seats.filter(({ seatId }) => seatId === 'walker').length, 1, 'and is there once')
})

for (const name of Object.keys(floods)) {
  t.test(`a flood: ${name}`, async t => {
    const before = pool.pid('alpha')
    const row = await flood(pool, name, {
      extent: { messages: name.includes('clients') ? 5_000 : 20_000 },
      servers: ['alpha'],
    })
    t.comment(asLine(row))
    t.ok(row.others.length >= 1, 'another client was served meanwhile')
    t.ok(row.most < memoryBound, `${row.most} MiB at most`)
    t.equal(pool.pid('alpha'), before)
    t.notMatch(pool.output('alpha'), /LICD_INTERNAL|"level":"error"/)
    await using client = await connect({ nats: pool.nats.url })
    await using seat = await client.acquire('cad', { timeout: 60_000 })
    t.ok(seat.valid)
  })
}

t.test('one that asks behind the flood of another is answered before it', async t => {
  const messages = 20_000
  await using alone = await ProcessPool.start({ servers: ['alpha'], tickMs: 200, leaseTicks: 600 })
  await alone.ctl(['feature', 'add', 'cad', '50', '--local'])
  const other = await connectNats({ servers: [alone.nats.url] })
  t.teardown(() => other.close())
  const flooder = await Flooder.open(alone.nats.url)
  const make = floods['malformed messages']?.(() => 'alpha')
  if (make === undefined) throw new Error('no such flood')
  // The server stands still: when it goes on, all of the flood lies before it, and then what the other asks.
  process.kill(alone.pid('alpha'), 'SIGSTOP')
  await flooder.fire({ messages }, make)
  await flooder.arrived()
  const answered = new RawSeatClient(other).acquire('alpha', 'other', 'cad')
  process.kill(alone.pid('alpha'), 'SIGCONT')
  t.ok((await answered).length > 0)
  t.comment(`${flooder.answers} of the flood were answered before it`)
  t.ok(flooder.answers < messages / 2, 'the rest was dropped, or waits')
  flooder.close()
})

for (const name of ['malformed messages', 'forged renewals']) {
  t.test(`a flood of all servers: ${name}`, async t => {
    const { servers } = pool
    const row = await flood(pool, name, { extent: { messages: 30_000 }, servers, flooders: 2 })
    t.comment(asLine(row))
    t.equal(row.elections, 0, 'the leader kept its office')
    t.equal(row.leasesLost, 0)
    t.ok(row.others.length >= 1, 'another client was served meanwhile')
    t.ok(row.most < memoryBound, `${row.most} MiB at most`)
  })
}
