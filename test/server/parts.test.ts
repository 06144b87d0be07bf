import fc from 'fast-check'
import t from 'tap'
import { commandCodec } from '../../lib/command-codec.ts'
import type { Command, Listing, Usage } from '../../lib/ledger/command.ts'
import { emptyState } from '../../lib/ledger/snapshot.ts'
import type { LedgerState } from '../../lib/ledger/state.ts'
import { Intake } from '../../lib/server/intake.ts'
import { Keepalives } from '../../lib/server/keepalive.ts'
import { Lease } from '../../lib/server/lease.ts'
import {
  decodeClaim,
  decodeKeepalive,
  encodeClaim,
  encodeKeepalive,
  keepaliveBytesMax,
  usageMax,
} from '../../lib/server/peer-codec.ts'
import { Ticker } from '../../lib/server/ticker.ts'
import { silentLogger } from '../../raft/index.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 }

function world(rate = 1) {
  const time = new VirtualTime()
  return { time, clock: new VirtualClock(time, { rate, origin: 0 }) }
}

t.test('lease - counted from the sending, by the listed keepalive alone', async t => {
  const { time, clock } = world()
  const lease = new Lease(clock, silentLogger, 0)
  lease.sent(0, 0)
  time.run(500)
  lease.sent(1, clock.now())
  t.equal(lease.until, 0)
  time.run(500)
  lease.listed(0, settings)
  t.equal(lease.until, 29_400, 'from the hello, less 2 %')
  lease.listed(1, settings)
  t.equal(lease.until, 29_900)
  lease.listed(1, settings)
  lease.listed(7, settings)
  t.equal(lease.until, 29_900, 'an unknown or repeated number extends nothing')
  lease.sent(8, clock.now())
  lease.listed(8, { ...settings, leaseTicks: 3 })
  t.equal(lease.until, 29_900, 'a shorter setting takes nothing back')
  lease.end()
  t.equal(lease.until, 0)
  lease.listed(8, settings)
  t.equal(lease.until, 0, 'what an earlier incarnation sent is forgotten')
})

t.test('lease - a suspension voids what was sent before, hello included', async t => {
  const { time, clock } = world()
  const lease = new Lease(clock, silentLogger, 0)
  lease.sent(0, 0)
  lease.sent(1, 0)
  clock.pause(true)
  time.run(60_000)
  clock.resume()
  lease.sent(0, clock.now())
  lease.listed(1, settings)
  t.equal(lease.until, 0)
  lease.sent(2, clock.now())
  lease.listed(2, settings)
  t.equal(lease.until, 29_400, 'what is sent afterwards counts')
})

t.test('lease - where uptime cannot tell, a jump of the wall clock counts as one', async t => {
  const time = new VirtualTime()
  const clock = new VirtualClock(time, { hasUptime: false, origin: 0 })
  const lease = new Lease(clock, silentLogger, 0)
  lease.sent(1, 0)
  lease.listed(1, settings)
  clock.jumpWall(-3_600_000)
  t.equal(lease.until, 29_400, 'backwards means nothing')
  clock.jumpWall(5_000)
  t.equal(lease.until, 0)
})

for (const hasUptime of [true, false]) {
  t.test(
    `lease - naps shorten it by as much, ${hasUptime ? 'by uptime' : 'by the wall'}`,
    async t => {
      const time = new VirtualTime()
      const clock = new VirtualClock(time, { hasUptime, origin: 0 })
      const lease = new Lease(clock, silentLogger, 0)
      lease.sent(1, 0)
      lease.sent(2, 0)
      lease.listed(1, settings)
      let stoodMs = 0
      for (let n = 1; n <= 200; n++) {
        clock.pause(true)
        time.run(n % 50)
        stoodMs += n % 50
        clock.resume()
        time.run(10)
        const end = lease.until + stoodMs
        t.ok(end < 29_417 && end > 29_398, `over ${end} ms after it began`)
      }
      t.ok(Math.abs(lease.skippedMs - stoodMs) < 17)
      lease.listed(2, settings)
      t.ok(lease.until + stoodMs < 29_417, 'what was sent before the naps was sent as much earlier')
    },
  )
}

t.test('keepalives - twice a tick, and usage adds up however they are listed', async t => {
  const { time, clock } = world()
  const sent: Listing[] = []
  let fresh: Usage[] = []
  const keepalives = new Keepalives({
    server: 'alpha',
    clock,
    lease: new Lease(clock, silentLogger, 0),
    tickMs: () => settings.tickMs,
    tellsReasons: () => true,
    usage: () => fresh.splice(0),
    send: listing => sent.push(listing),
  })
  const use = (granted: number): void => {
    fresh = [{ feature: 'cad', inUse: granted, granted, denied: 0 }]
  }
  let told = 0
  const list = (number: number): void => {
    const listing = sent.find(entry => entry.number === number)
    told += listing?.usage[0]?.granted ?? 0
    keepalives.listed(number)
  }
  use(5)
  keepalives.start(3)
  t.match(sent, [{ server: 'alpha', incarnation: 3, number: 1, usage: [{ granted: 5 }] }])
  use(2)
  time.run(500)
  t.match(sent[1], { number: 2, usage: [{ granted: 7 }] }, 'not told yet: carried again')
  list(1)
  list(2) // both listed: 5 were told twice
  t.equal(told, 12)
  use(4)
  time.run(500)
  list(3)
  use(3)
  time.run(500)
  list(4)
  t.equal(told, 5 + 2 + 4 + 3, 'what came next made up for it')
  time.run(500)
  t.strictSame(sent[4]?.usage, [], 'nothing left to tell')
  keepalives.now()
  t.equal(sent.length, 6)
  keepalives.stop()
  time.run(5_000)
  t.equal(sent.length, 6)
})

t.test('keepalives - many features fit the bound, a part at a time', async t => {
  const { time, clock } = world()
  const sent: Listing[] = []
  const name = (n: number): string => `${'f'.repeat(60)}${1000 + n}@${'v'.repeat(32)}`
  const all = Array.from({ length: 600 }, (_, n) => name(n))
  let asked = 0
  const keepalives = new Keepalives({
    server: 'a'.repeat(32),
    clock,
    lease: new Lease(clock, silentLogger, 0),
    tickMs: () => 1_000,
    tellsReasons: () => true,
    usage: max => {
      const part = all.slice(asked, asked + max)
      asked += part.length
      return part.map(feature => ({ feature, inUse: 1e9, granted: 1e9, denied: 1e9 }))
    },
    send: listing => sent.push(listing),
  })
  keepalives.start(1)
  for (let n = 0; n < 6; n++) {
    const listing = sent.at(-1)
    t.ok(listing !== undefined && encodeKeepalive(listing).length <= keepaliveBytesMax)
    keepalives.listed(listing?.number ?? 0)
    time.run(500)
  }
  const told = new Set(sent.flatMap(({ usage }) => usage.map(({ feature }) => feature)))
  t.equal(told.size, 600)
  keepalives.stop()
})

t.test('peer codec - round trip, and garbage is nothing', async t => {
  const listing: Listing = {
    ...{ server: 'alpha', incarnation: 2, number: 9, wallMs: 1_750_000_000_000 },
    usage: [{ feature: 'cad@2026', inUse: 1, granted: 2, denied: 3 }],
  }
  t.strictSame(decodeKeepalive(encodeKeepalive(listing)), listing)
  const claim = { server: 'alpha', bootId: 'x', since: 4 }
  t.strictSame(decodeClaim(encodeClaim(claim)), claim)
  const wrong: unknown[] = [
    { ...listing, server: 'any' },
    { ...listing, incarnation: 0 },
    { ...listing, number: -1 },
    { ...listing, usage: [{ feature: 'a b', inUse: 1, granted: 0, denied: 0 }] },
    { ...listing, usage: [{ feature: 'cad', inUse: 0.5, granted: 0, denied: 0 }] },
    { ...listing, usage: Array(usageMax + 1).fill(listing.usage[0]) },
  ]
  for (const bad of wrong) t.equal(decodeKeepalive(encodeKeepalive(bad as Listing)), undefined)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), data => {
      decodeKeepalive(data)
      decodeClaim(data)
    }),
    { numRuns: 500 },
  )
})

function ticking(rate = 1) {
  const { time, clock } = world(rate)
  const state = emptyState()
  state.servers.set('alpha', {
    ...{
      name: 'alpha',
      role: 'voter',
      incarnation: 1,
      bootId: '',
      endedIncarnation: 0,
      helloTick: 0,
    },
    ...{
      helloPending: false,
      leaving: false,
      relearnUntil: 0,
      listedTick: 0,
      listedNumber: 0,
      downAt: 99,
    },
    wallMs: 0,
  })
  const proposed: { tick: number; at: number; listings: readonly Listing[] }[] = []
  const done: ((committed: boolean) => void)[] = []
  const ticker = new Ticker({
    clock,
    state: () => state,
    propose: (tick, listings, finish) => {
      proposed.push({ tick, at: clock.now(), listings })
      done.push(finish)
    },
  })
  const commit = (): void => {
    state.tick++
    ticker.applied()
    done.shift()?.(true)
  }
  return { time, clock, state, proposed, done, ticker, commit }
}

t.test(
  'ticker - one full tick in office first, never sooner, never with two uncommitted',
  async t => {
    const { time, state, proposed, done, ticker, commit } = ticking(1.01)
    ticker.takeOffice()
    time.run(985)
    t.strictSame(proposed, [])
    time.run(3_000)
    t.strictSame(
      proposed.map(({ tick }) => tick),
      [1, 2],
      'two under way, the third waits',
    )
    commit()
    t.strictSame(
      proposed.map(({ tick }) => tick),
      [1, 2, 3],
      'and goes as soon as one is applied',
    )
    for (const [n, { at }] of proposed.entries()) {
      t.ok(at - (proposed[n - 1]?.at ?? 0) >= 1_000, 'on the own clock')
    }
    commit()
    commit()
    state.settings = { ...settings, tickMs: 5_000 }
    time.run(3_000)
    t.equal(proposed.length, 3, 'a longer tick rules at once')
    time.run(2_000)
    t.equal(proposed.at(-1)?.tick, 4)
    done.shift()?.(false)
    time.run(5_000)
    t.equal(proposed.at(-1)?.tick, 4, 'one that came to nothing is proposed again')
    ticker.leaveOffice()
    time.run(60_000)
    t.equal(proposed.length, 5)
  },
)

t.test(
  'ticker - what is committed and not applied counts: a longer tickMs may stand in the log (pool seed 95)',
  async t => {
    const { time, proposed, done, ticker, commit } = ticking()
    ticker.takeOffice()
    time.run(2_000)
    // Committed by the others, while this server's own disk hangs.
    for (const finish of done.splice(0)) finish(true)
    time.run(10_000)
    t.equal(proposed.length, 2, 'it waits until it knows what stands before them')
    commit()
    t.equal(proposed.length, 3)
  },
)

t.test('ticker - lists the newest keepalive of each since the last tick, and forgets', async t => {
  const { time, proposed, ticker, commit } = ticking()
  const beat = (number: number, incarnation = 1, server = 'alpha'): void =>
    ticker.heard({ server, incarnation, number, wallMs: 0, usage: [] })
  beat(1)
  ticker.takeOffice()
  beat(3)
  beat(2)
  beat(9, 2)
  beat(9, 1, 'stranger')
  time.run(1_000)
  commit()
  t.match(proposed[0]?.listings, [{ server: 'alpha', number: 3 }])
  t.equal(proposed[0]?.listings.length, 1)
  time.run(1_000)
  t.strictSame(proposed[1]?.listings, [], 'nothing came since')
})

t.test('intake - only the own offer counts, and one promise does for one id', async t => {
  const state: LedgerState = emptyState()
  const proposed: (Command | undefined)[] = []
  const finish: ((outcome: 'refused' | 'other') => void)[] = []
  const lowered: string[] = []
  let leads = true
  const intake = new Intake({
    state: () => state,
    isLeader: () => leads,
    offer: id => {
      lowered.push(`+${id}`)
      return { server: 'alpha', incarnation: 1, count: 2 }
    },
    settleOffer: id => lowered.push(`-${id}`),
    propose: (data, done) => {
      proposed.push(commandCodec.decode(data))
      finish.push(done)
    },
  })
  const borrow: Command = {
    ...{ id: 'b', deadline: 9, by: 'server:beta' },
    body: {
      ...{ type: 'borrow', feature: 'cad', to: 'beta', incarnation: 1, needed: 1, wanted: 1 },
      ...{ cause: 'request', queue: 0, offer: { server: 'gamma', incarnation: 1, count: 50 } },
    },
  }
  t.ok(intake.receive(commandCodec.encode(borrow)))
  t.match(proposed[0]?.body, { offer: { server: 'alpha', count: 2 } }, 'not what the sender claims')
  t.ok(intake.receive(commandCodec.encode(borrow)))
  t.equal(proposed.length, 1, 'under way already')
  intake.leaveOffice()
  t.ok(intake.take(borrow))
  t.match(proposed[1]?.body, { offer: { count: 2 } }, 'in the next office, by the same promise')
  t.strictSame(lowered, ['+b'])
  intake.applied('b')
  t.strictSame(lowered, ['+b', '-b'])

  t.ok(intake.take({ ...borrow, id: 'c' }))
  finish.at(-1)?.('refused')
  t.equal(lowered.at(-1), '-c', 'it never entered the log')
  t.ok(intake.take({ ...borrow, id: 'd' }))
  finish.at(-1)?.('other')
  state.tick = 9
  intake.ticked()
  t.equal(lowered.at(-1), '+d')
  state.tick = 10
  intake.ticked()
  t.equal(lowered.at(-1), '-d', 'past its deadline nobody applies it')

  leads = false
  t.notOk(intake.receive(commandCodec.encode({ ...borrow, id: 'e', deadline: 30 })))
  leads = true
  const tick: Command = { ...borrow, id: '', body: { type: 'tick', tick: 1, listings: [] } }
  t.notOk(intake.receive(commandCodec.encode(tick)), 'ticks are the leader\u2019s own')
  t.notOk(intake.receive(new Uint8Array(9)))
  t.equal(intake.dropped, 2)
})
