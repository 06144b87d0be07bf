// The MAC key of a whole pool is rotated while clients hold seats, come and go: by real servers, over virtual time.
import t from 'tap'
import { makeToken, tokenKey } from '../../lib/token.ts'
import { macKeyId } from '../../lib/token-keys.ts'
import { SimulatedClient, type Demand } from '../sim/pool-client.ts'
import { simulatePool, type SimulatedPool } from '../sim/pool.ts'
import { user } from './pool-user.ts'

t.setTimeout(300_000)

const three = ['alpha', 'beta', 'gamma']
const change = { by: 'test', timeoutMs: 10_000 }
const next = new Uint8Array(32).fill(9)
const nextId = macKeyId(next)

function makePool(options: { readonly seed?: number; readonly every?: number } = {}) {
  const { seed = 3, every } = options
  const pool = simulatePool({
    ...{ seed, servers: three, settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 20 } },
    ...(every === undefined ? {} : { snapshotEveryEntries: every }),
  })
  pool.startAll()
  pool.settle()
  pool.ask('feature-add', { ...change, id: 'f', feature: 'cad', allocations: 60 })
  return pool
}

let ids = 0
function use(pool: SimulatedPool, kid: string, at?: string) {
  return pool.ask('key-use', { ...change, id: `use-${++ids}`, kid }, at === undefined ? {} : { at })
}

/** The next key stands in every key file, and every server has looked. */
function distribute(pool: SimulatedPool, to: readonly string[] = three): void {
  for (const name of to) {
    pool.setKeys(name, [next, pool.macKey])
    pool.ask('key-list', {}, { at: name })
  }
}

function lossesOf(pool: SimulatedPool, clients: number) {
  const told = { granted: 0, moved: 0, lost: 0, refused: 0 }
  const demand: Demand = {
    ...{ features: ['cad'], holdsMax: 4, countMax: 2, hasUptime: true, swingMs: 0 },
    holdMs: [2_000, 90_000],
    pauseMs: [200, 3_000],
  }
  const made = Array.from({ length: clients }, (_, n) =>
    new SimulatedClient(pool, `client-${n}`, demand, {
      heard: () => undefined,
      told: (_client, event) => void (told[event] += 1),
    }).start(),
  )
  return { told, made }
}

t.test('rotation under load: no seat is lost, and all ends with the new key alone', async t => {
  const pool = makePool({ every: 60 })
  const oldId = macKeyId(pool.macKey)
  const { told } = lossesOf(pool, 8)
  const mary = user(pool, 'mary', 'alpha')
  const kept = mary.hold(2)
  pool.run(20_000)
  t.match(use(pool, nextId), { ok: false, code: 'LICD_KEY_MISSING' }, 'nobody holds it yet')
  distribute(pool, ['alpha', 'beta'])
  const refused = use(pool, nextId)
  t.match(refused, { ok: false, code: 'LICD_KEY_MISSING', detail: /at gamma/ })
  distribute(pool, ['gamma'])
  t.match(pool.ask('key-list', {}), {
    ...{ making: oldId, held: [nextId, oldId] },
    holders: three.map(server => ({ server, kids: [nextId, oldId] })),
  })
  // A restart between the two steps: what a run said it holds is forgotten, and said again.
  t.ok(pool.stop('beta'))
  pool.start('beta')
  pool.settle()
  pool.run(3_000)
  t.match(use(pool, nextId, 'beta'), { ok: true })
  const list = pool.ask('key-list', {})
  t.match(list, { current: nextId, making: nextId, before: [{ kid: oldId }] })
  // Servers die and hand over while both keys are heard.
  pool.run(2_000)
  pool.crash('gamma')
  pool.run(6_000)
  pool.start('gamma')
  pool.run(8_000)
  pool.ask('transfer-leader', { timeoutMs: 5_000 })
  pool.run(60_000)
  t.match(pool.ask('key-list', {}), { current: nextId, before: [] })
  t.ok(kept.remainingMs() > 0, 'a seat of before the switch lives on')
  t.ok(told.granted > 50, `${told.granted} seats granted`)
  t.equal(told.lost, 0)
  // The leader's snapshot, and a disk that starts from nothing else, know it too.
  pool.crash('alpha')
  pool.wipe('alpha')
  pool.start('alpha')
  pool.run(30_000)
  t.equal(pool.server('alpha').ledger.state.tokenKeys?.current, nextId)
  t.equal(pool.server('alpha').keys.making, nextId)
  t.equal(told.lost, 0)
})

t.test(
  'a token of the old key moves its seat while that is heard, and is refused afterwards',
  async t => {
    const pool = makePool()
    distribute(pool)
    const proofOf = (name: string, key: Uint8Array) => {
      const { ledger, incarnation } = pool.server(name)
      const { tick, settings } = ledger.state
      const lastTick = tick + settings.seatTicks
      const seat = {
        seatId: 's',
        feature: 'cad',
        server: name,
        incarnation,
        seatTick: tick,
        lastTick,
      }
      return makeToken(tokenKey(key), 'simulated', seat)
    }
    const early = proofOf('alpha', next)
    t.ok(pool.server('beta').keys.read(early), 'another server may have switched already')
    t.match(use(pool, nextId), { ok: true })
    const old = proofOf('alpha', pool.macKey)
    t.ok(pool.server('beta').keys.read(old))
    pool.run(40_000)
    t.equal(pool.server('beta').keys.read(proofOf('alpha', pool.macKey)), undefined)
    // As a client sees it: a renewal with such a token, whatever it says, is refused by code.
    const { bus } = pool.connect('forger')
    let answer = ''
    bus.subscribe('answer', ({ data }) => (answer = new TextDecoder().decode(data)))
    const { ledger, incarnation } = pool.server('alpha')
    const seat = { ...{ seatId: 's', feature: 'cad', server: 'alpha', incarnation }, lastTick: 9e6 }
    const token = makeToken(tokenKey(pool.macKey), 'simulated', {
      ...seat,
      seatTick: ledger.state.tick,
    })
    const request = {
      seatId: 's',
      token: Buffer.from(token).toString('base64url'),
      nonce: 'AAAAAAAAAAAAAAAAAAAAAA',
    }
    bus.publish(pool.subjects.seat('beta', 'prove'), Buffer.from(JSON.stringify(request)), {
      reply: 'answer',
    })
    pool.runUntil(() => answer !== '', 5_000)
    t.match(answer, /LICD_BAD_TOKEN/)
  },
)

t.test(
  'a lagging server goes on with the old key until its lease ends, and loses no seat',
  async t => {
    const pool = makePool()
    distribute(pool)
    const leader = pool.leader?.server ?? ''
    const [slow = ''] = three.filter(name => name !== leader)
    const mary = user(pool, 'mary', slow)
    const kept = mary.hold(1)
    const watch = lossesOf(pool, 4)
    // It hears clients, but nothing of the pool.
    for (const other of three.filter(name => name !== slow)) {
      pool.broker.cut(slow, other)
      pool.broker.cut(other, slow)
    }
    t.match(use(pool, nextId, leader), { ok: true })
    pool.run(10_000)
    t.equal(pool.server(slow).keys.making, macKeyId(pool.macKey))
    t.ok(kept.remainingMs() > 0)
    for (const other of three.filter(name => name !== slow)) {
      pool.broker.heal(slow, other)
      pool.broker.heal(other, slow)
    }
    pool.run(60_000)
    t.ok(kept.remainingMs() > 0)
    t.equal(watch.told.lost, 0)
    t.equal(pool.server(slow).keys.making, nextId)
  },
)

t.test('a server without the key in use serves nobody until it is brought there', async t => {
  const pool = makePool()
  distribute(pool)
  t.match(use(pool, nextId), { ok: true })
  pool.run(40_000)
  // Its folder comes back from a backup: it has the old key alone.
  pool.crash('gamma')
  pool.setKeys('gamma', [pool.macKey])
  pool.start('gamma')
  pool.run(60_000)
  t.equal(pool.server('gamma').incarnation, 0)
  const mary = user(pool, 'mary', 'gamma')
  t.ok(mary.hold(1).remainingMs() > 0, 'others serve')
  pool.setKeys('gamma', [next])
  pool.run(5_000)
  t.ok(pool.server('gamma').incarnation > 0, 'found without a restart')
  t.equal(pool.server('gamma').keys.making, nextId)
})

t.test('a pool of before, and what is no key id, are refused by name', async t => {
  const pool = simulatePool({ seed: 1, servers: ['one'], level: 1 }).startAll()
  pool.settle()
  t.match(use(pool, nextId), { ok: false, code: 'LICD_LEVEL' })
  t.match(pool.askRaw('key-use', { ...change, id: 'x', kid: 7 }), { code: 'LICD_BAD_REQUEST' })
  t.match(pool.askRaw('key-use', { id: 'x', kid: 'k' }), { code: 'LICD_BAD_REQUEST' })
  t.match(pool.ask('key-list', {}), { ok: true, making: macKeyId(pool.macKey), before: [] })
})
