/** What an operator's program makes of the servers' answers: whole pools of real servers, over virtual time. */
import t from 'tap'
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { viewPool } from '../../lib/ctl/pool-view.ts'
import { verdictOf } from '../../lib/ctl/verdict.ts'
import { viewWhy, type WhyServer, type WhyView } from '../../lib/ctl/why.ts'
import type { CodeContent } from '../../lib/ledger/command.ts'
import type { FeatureStatus } from '../../lib/protocol/ctl.ts'
import { ed25519Thumbprint } from '../../lib/server/ctl-request.ts'
import { user } from '../server/pool-user.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from '../sim/pool.ts'
import { SeededRandom } from '../sim/seeded-random.ts'

// Seconds of work, and more on a machine that has other work.
t.setTimeout(180_000)

const three = ['alpha', 'beta', 'gamma']
const change = { by: 'test', timeoutMs: 5_000 }

function makePool(options: Partial<PoolOptions> = {}) {
  const pool = simulatePool({ seed: 23, servers: three, ...options }).startAll()
  pool.settle()
  pool.ask('feature-add', { ...change, id: 'cad', feature: 'cad', allocations: 9 })
  pool.run(5_000)
  const { bus, clock } = pool.connect('ctl')
  const client = (server?: string): CtlClient =>
    new CtlClient({
      ...{ bus, clock, random: new SeededRandom(5), pool: 'simulated', by: 'test' },
      ...(server === undefined ? {} : { server }),
    })
  return { pool, client }
}

/** Promises and virtual time take turns. */
async function settle<T>(pool: SimulatedPool, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const mark = (): void => void (isSettled = true)
  promise.then(mark, mark)
  for (let n = 0; n < 10_000; n++) {
    await new Promise(resolve => setImmediate(resolve))
    if (isSettled) return promise
    pool.run(5)
  }
  throw new Error('nothing settled it')
}

t.test(
  'cut off, yet in reach of the operator: not dark, and believed only when asked by name',
  async t => {
    const { pool, client } = makePool()
    const leader = pool.leader?.server ?? ''
    const [alone = '', other = ''] = three.filter(name => name !== leader)
    for (const name of [leader, other]) {
      pool.broker.cut(alone, name)
      pool.broker.cut(name, alone)
    }
    pool.run(8_000)
    for (let n = 0; n < 6; n++) {
      const view = await settle(pool, viewPool(client()))
      t.not(view.answeredBy, alone, 'whoever was asked first')
      t.strictSame(view.status.features[0]?.dark, [], 'it grants from its share')
      t.ok((view.lease[alone]?.leaseLeftMs ?? 0) > 0)
    }
    const own = await settle(pool, viewPool(client(alone)))
    t.equal(own.answeredBy, alone)
    t.ok(own.status.tickAgeMs > 7_000)
    const why = await settle(pool, viewWhy(client(alone), { feature: 'cad' }))
    t.equal(why.answeredBy, alone)
    t.equal(why.leader === undefined || why.tickAgeMs > 3_000, true)
    pool.crash(alone)
    const after = await settle(pool, viewPool(client()))
    t.match(after.status.features[0]?.dark, [{ server: alone, kind: 'silent', count: 3 }])
  },
)

t.test('denials of all servers, the latest first; who does not answer is named', async t => {
  const { pool, client } = makePool()
  const leader = pool.leader?.server ?? ''
  const [first = '', second = ''] = three.filter(name => name !== leader)
  const holders = three.map(name => user(pool, `holder-${name}`, name))
  for (const holder of holders) holder.hold(3)
  user(pool, 'mary', first).refused()
  pool.run(1_000)
  user(pool, 'bob', second).refused()
  const view = await settle(pool, viewWhy(client(), { feature: 'cad', user: `holder-${first}` }))
  t.strictSame(view.denials, [])
  t.equal(view.servers.find(({ name }) => name === first)?.standing?.heldByUser, 3)
  // With its clients: nobody takes a seat along.
  holders[three.indexOf(first)]?.vanish()
  pool.crash(first)
  pool.run(4_000)
  const all = await settle(pool, viewWhy(client(), { feature: 'cad' }))
  t.match(all.denials, [{ user: 'bob', server: second, code: 'LICD_NO_SEAT' }])
  const dead = all.servers.find(({ name }) => name === first)
  t.match(dead, { answered: false, role: 'unknown', share: 3, state: 'silent' })
  t.ok((dead?.ageMs ?? 0) >= 3_000 && (dead?.ageMs ?? 0) < 8_000)
  const { says, toDo } = verdictOf(all)
  t.match(says.join(' '), /^None is spare: .* 3 are dark .*; back in \d+ s at most\.$/)
  t.match(toDo, [/licd run --wait/, new RegExp(`^Look at ${first}`)])
})

t.test('a removed code is owed while clients renew, and paid as seats end', async t => {
  const publicKey = 'A'.repeat(43)
  const vendor = { kid: ed25519Thumbprint(publicKey), name: 'Acme', publicKey }
  const content: CodeContent = {
    ...{ codeId: 'c', kid: vendor.kid, vendor: 'Acme', customer: 'us', feature: 'sim' },
    ...{ kind: 'feature', allocations: 6, startsAt: 0, issuedAt: 0 },
  }
  const { pool, client } = makePool({
    judge: {
      code: () => ({ ok: true, content }),
      certificate: () => ({ ok: false, code: 'LICD_BAD_KEY' }),
    },
  })
  pool.ask('vendor-add', { ...change, id: 'v', vendor })
  pool.ask('code-add', { ...change, id: 'a', text: 'x' })
  pool.run(3_000)
  const mary = user(pool, 'mary', 'beta')
  const asked = mary.acquire(2, { feature: 'sim' })
  pool.run(1_000)
  const hold = asked.outcome?.ok === true ? asked.outcome.hold : undefined
  t.ok(hold)
  pool.ask('code-remove', { ...change, id: 'r', codeId: 'c' })
  pool.run(60_000)
  t.ok((hold?.remainingMs() ?? 0) > 0, 'it is renewed')
  const view = await settle(pool, viewPool(client()))
  const sim = view.status.features.find(({ name }) => name === 'sim')
  t.match(sim, { allocations: 0, owed: 2, dark: [{ kind: 'owed', count: 2 }] })
  const why = await settle(pool, viewWhy(client(), { feature: 'sim' }))
  t.match(verdictOf(why).says.join(' '), /2 are owed: .* What comes free pays them first\.$/)
  t.match(user(pool, 'bob', 'beta').refused(1, { feature: 'sim' }), { code: 'LICD_NO_SEAT' })
  const denied = await settle(pool, viewWhy(client(), { feature: 'sim', user: 'bob' }))
  t.match(denied.denials[0]?.tried, [{ source: 'code', why: 'the license code c was removed' }])
  hold?.release()
  pool.run(5_000)
  const paid = await settle(pool, viewPool(client()))
  const left = paid.status.features.map(({ name }) => name)
  t.strictSame(left, ['cad'], 'paid, and nothing is left of it')
  t.match(user(pool, 'ann', 'beta').refused(1, { feature: 'sim' }), {
    code: 'LICD_UNKNOWN_FEATURE',
    detail: /The license code c was removed\./,
  })
  const gone = await settle(pool, viewWhy(client(), { feature: 'sim' }))
  t.match(verdictOf(gone).says, [
    'The pool has the feature sim no more. The license code c was removed.',
  ])
  t.match(gone.denials[0]?.tried, [{ source: 'code', why: 'the license code c was removed' }])
  const { codes } = await settle(pool, client().ask('code-list', {}))
  t.match(codes, [{ codeId: 'c', state: 'ended', endedEarly: 'removed' }])
  pool.ask('vendor-revoke', { ...change, id: 'k', kid: vendor.kid })
  pool.run(2_000)
  const stolen = await settle(pool, viewWhy(client(), { feature: 'sim' }))
  t.match(stolen.ended, 'The license code c was signed by a key that was revoked.')
  const never = await settle(pool, viewWhy(client(), { feature: 'sin' }))
  t.match(verdictOf(never).toDo, [/spells it/], 'of one that never was the spelling is doubted')
})

t.test('who looks for a server of a pool that grants nothing is counted, whatever for', async t => {
  const { pool, client } = makePool()
  t.strictSame((await settle(pool, viewWhy(client(), { feature: 'cad' }))).turnedAway, [])
  const alone = pool.leader?.server ?? ''
  for (const name of three) if (name !== alone) pool.crash(name)
  pool.run(40_000)
  const bob = user(pool, 'bob')
  bob.acquire(1)
  pool.run(3_000)
  const view = await settle(pool, viewWhy(client(alone), { feature: 'cad' }))
  t.strictSame(view.denials, [], 'it never came to say whom it is for')
  t.match(view.turnedAway, [{ server: alone, code: 'LICD_NO_LEASE', detail: /has not heard/ }])
  const [{ times = 0, firstAgoMs = 0 } = {}] = view.turnedAway
  t.ok(times >= 3 && firstAgoMs < 4_000, `${times} times in ${firstAgoMs} ms`)
  bob.vanish()
  pool.run(620_000)
  const later = await settle(pool, viewWhy(client(alone), { feature: 'cad' }))
  t.strictSame(later.turnedAway, [], 'of ten minutes ago nothing is said')
})

const status: FeatureStatus = {
  ...{ name: 'cad', allocations: 9, owed: 0, free: 0, even: true, dark: [], shares: [] },
}
const server: WhyServer = {
  ...{ name: 'alpha', answered: true, role: 'leader', state: 'up', ageMs: 0, mayGrantMs: 20_000 },
  ...{ share: 3, inUse: 3, dark: [] },
  standing: {
    ...{ share: 3, promised: 0, limit: 3, inUse: 3, spare: 0 },
    ...{ grantsForMs: 19_000, waiting: 0, queuePlace: 0 },
  },
}
const base: WhyView = {
  ...{ pool: 'p', feature: 'cad', leader: 'alpha', answeredBy: 'alpha', tickAgeMs: 100 },
  ...{ tickMs: 1_000, status, features: ['cad'], servers: [server], denials: [], turnedAway: [] },
}
const says = (view: Partial<WhyView>): string => {
  const verdict = verdictOf({ ...base, ...view })
  return [...verdict.says, ...verdict.toDo.map(text => `>${text}`)].join(' ')
}
const granting = (fields: Partial<NonNullable<WhyServer['standing']>>): WhyServer => ({
  ...server,
  ...(server.standing === undefined ? {} : { standing: { ...server.standing, ...fields } }),
})

t.test('what it comes to, in words', async t => {
  const { status: _status, ...unknown } = base
  const verdict = verdictOf({ ...unknown, feature: 'cda', features: ['cad', 'sim'] })
  t.match(verdict.says, ['The pool has no feature cda. It has cad, sim.'])
  t.match(verdict.toDo, [/spells it/])
  t.match(
    says({ status: { ...status, allocations: 0 } }),
    /owns no allocation of cad now.*code list/,
  )
  t.equal(says({ servers: [granting({ spare: 2 })] }), '2 can be granted at once: 2 at alpha.')
  t.match(
    says({ status: { ...status, free: 4 } }),
    /^No server has spare, but 4 are in the free pool/,
  )
  t.match(
    says({ servers: [granting({ waiting: 7 })] }),
    /^None is spare: all 9 .* 7 seats are waited for/,
  )
  const cut = { tickAgeMs: 9_000 }
  t.match(says(cut), /without a leader none can be borrowed\. >Get a majority of servers running/)
  const idle = { ...granting({ grantsForMs: 0 }), mayGrantMs: 0 }
  t.match(
    says({ ...cut, servers: [idle] }),
    /^No server that answers may grant now: none has a lease/,
  )
  const dark = { ...server, dark: [{ server: 'alpha', kind: 'silent', count: 3 }] as const }
  t.match(says({ servers: [dark] }), /3 are dark .* back when the pool clock runs again/)
})
