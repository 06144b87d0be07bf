// A pool with roles takes changes that one of its operators has signed, and no others; the audit log says whose key it was.
import t from 'tap'
import { makeAccount, makeCredentials, subjectOf } from '../../lib/access/nats-account.ts'
import { ownerOf, signerOf } from '../../lib/access/operator.ts'
import type { Role } from '../../lib/access/roles.ts'
import { commandCodec } from '../../lib/command-codec.ts'
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { LicdError } from '../../lib/error.ts'
import type { Statement } from '../../lib/protocol/signed.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from '../sim/pool.ts'

t.setTimeout(300_000)

const started = 1_750_000_000_000
const account = makeAccount('simulated', started)
const issuer = subjectOf(account.accountJwt)
const of = (role: Role, name: string, expiresAt?: number, by = account): string =>
  makeCredentials(by, {
    ...{ pool: 'simulated', role, name, now: started },
    ...(expiresAt === undefined ? {} : { expiresAt }),
  })
const mary = of('operator', 'mary')
const three = ['alpha', 'beta', 'gamma']

function makePool(options: Partial<PoolOptions> = {}): SimulatedPool {
  const pool = simulatePool({ seed: 4, servers: three, doors: { issuer }, ...options }).startAll()
  pool.settle()
  return pool
}

const request = { feature: 'cad', allocations: 9 }
let ids = 0

/** A signed `feature-add`, as `credentials` sign it; `change` is what is signed otherwise. */
function signed(pool: SimulatedPool, credentials: string, change: Partial<Statement> = {}) {
  const now = pool.ask('now', {})
  if (now?.ok !== true) throw new Error('no time')
  const { cluster, tick } = now
  const id = `c${++ids}`
  const statement = { cluster, tick, operation: 'feature-add', id, request, ...change }
  const { jwt, text, signature } = signerOf(credentials).sign(JSON.stringify(statement))
  return { ...request, id, by: 'who?', timeoutMs: 5_000, signed: { jwt, text, signature } }
}

const send = (pool: SimulatedPool, message: object, at = 'beta') =>
  pool.askRaw('feature-add', message, { at })

t.test(
  'what an operator signed is carried out once, and stands under its name and key',
  async t => {
    const pool = makePool()
    t.match(pool.ask('now', {}), { signs: true, cluster: 'simulated-cluster' })
    const message = signed(pool, mary)
    t.match(send(pool, message), { ok: true, duplicate: false })
    t.match(send(pool, message, 'gamma'), { ok: true, duplicate: true }, 'repeated it does nothing')
    t.match(pool.ask('audit', {}), {
      records: [{}, { by: 'mary', key: ownerOf(mary).key, action: 'add-feature', outcome: 'ok' }],
    })
    pool.run(5_000)
    const hashes = new Set(three.map(name => pool.server(name).ledger.hash()))
    t.equal(hashes.size, 1, 'one ledger')
    t.match(
      send(pool, { ...signed(pool, mary), feature: 'other' }),
      {
        code: 'LICD_FEATURE_EXISTS',
      },
      'it is what was signed that counts, not what is said beside it',
    )
  },
)

t.test('whatever is not signed by an operator of this pool is refused', async t => {
  const pool = makePool()
  const whole = signed(pool, mary)
  const other = makeAccount('simulated', started)
  const calendar = pool.server('alpha').ledger.state.calendar
  const proof = (change: object) => ({ ...whole, signed: { ...whole.signed, ...change } })
  const strange = signed(pool, of('operator', 'mary', undefined, other))
  const cases: [string, object, string][] = [
    ['unsigned', { ...whole, signed: undefined }, 'LICD_UNSIGNED'],
    ['no signature', { ...whole, signed: 'x' }, 'LICD_UNSIGNED'],
    ['a part of one', proof({ jwt: undefined }), 'LICD_NOT_OPERATOR'],
    ['a client', signed(pool, of('client', 'mary')), 'LICD_NOT_OPERATOR'],
    ['a server', signed(pool, of('server', 'alpha')), 'LICD_NOT_OPERATOR'],
    ['of another pool', strange, 'LICD_NOT_OPERATOR'],
    [
      'another key’s signature',
      proof({ signature: strange.signed.signature }),
      'LICD_NOT_OPERATOR',
    ],
    ['other credentials', proof({ jwt: strange.signed.jwt }), 'LICD_NOT_OPERATOR'],
    ['altered', proof({ text: whole.signed.text.replace('9', '99') }), 'LICD_NOT_OPERATOR'],
    ['another id beside it', { ...whole, id: 'again' }, 'LICD_NOT_OPERATOR'],
    [
      'another id within',
      proof({ text: whole.signed.text.replace(whole.id, 'again') }),
      'LICD_NOT_OPERATOR',
    ],
    ['for another operation', signed(pool, mary, { operation: 'code-add' }), 'LICD_NOT_OPERATOR'],
    ['expired', signed(pool, of('operator', 'bob', calendar - 1_000)), 'LICD_NOT_OPERATOR'],
    ['of another pool’s log', signed(pool, mary, { cluster: 'other' }), 'LICD_STALE_SIGNATURE'],
    ['of long ago', signed(pool, mary, { tick: -301 }), 'LICD_STALE_SIGNATURE'],
    ['of the future', signed(pool, mary, { tick: 1_000 }), 'LICD_STALE_SIGNATURE'],
    ['no number', signed(pool, mary, { tick: NaN }), 'LICD_STALE_SIGNATURE'],
    ['garbage', proof({ jwt: 'a.b.c', text: '{', signature: '' }), 'LICD_NOT_OPERATOR'],
    ['whose key it says to be', { ...whole, signed: undefined, provenKey: 'U' }, 'LICD_UNSIGNED'],
  ]
  const forged = whole.signed.jwt.split('.')
  forged[1] = Buffer.from(
    Buffer.from(forged[1] ?? '', 'base64url')
      .toString()
      .replace('operator.mary', 'operator.root'),
  ).toString('base64url')
  cases.push(['forged credentials', proof({ jwt: forged.join('.') }), 'LICD_NOT_OPERATOR'])
  for (const [what, message, code] of cases) {
    t.match(send(pool, message), { ok: false, code, detail: /./ }, what)
  }
  for (const operation of ['transfer-leader', 'snapshot-open', 'servers-remove', 'key-use']) {
    const asked = { id: 'x', by: 'x', timeoutMs: 1_000, server: 'beta', kid: 'k' }
    t.match(pool.askRaw(operation, asked), { code: 'LICD_UNSIGNED' }, operation)
  }
  t.equal(pool.server('beta').ledger.state.features.size, 0, 'nothing was changed')
  t.match(pool.ask('status', {}), { ok: true }, 'to look needs no signature')
  t.match(send(pool, whole), { ok: true }, 'and as it was, it is taken')
})

t.test('a pool without credentials, or of level 1, goes by what is claimed', async t => {
  for (const options of [{ doors: {} }, { level: 1 }] as const) {
    const pool = makePool(options)
    t.match(pool.ask('now', {}), { signs: false })
    const message = { ...request, id: 'a', by: 'tom@ws1', timeoutMs: 5_000, provenKey: 'UFORGED' }
    t.match(send(pool, message), { ok: true })
    const audit = pool.ask('audit', {})
    t.notOk(audit?.ok === true && audit.records.some(({ key }) => key !== undefined))
  }
})

t.test(
  'the ledger is told since when an id may have been used, by what is signed alone',
  async t => {
    const proposed = t.capture(commandCodec, 'encode', commandCodec.encode)
    const sinceOf = (pool: SimulatedPool, message: { readonly id: string }) => {
      proposed()
      send(pool, message)
      const calls = proposed().map(({ args }) => args[0])
      const found = calls.find(command => command?.id === message.id)
      return found === undefined ? 'never proposed' : found.since
    }
    const pool = makePool()
    pool.run(20_000)
    const { tick } = pool.server('beta').ledger.state
    t.ok(tick > 10)
    t.equal(sinceOf(pool, signed(pool, mary)), 0, 'a program of before does not say it')
    const beside = { ...signed(pool, mary), fresh: true, since: tick }
    t.equal(sinceOf(pool, beside), 0, 'whoever repeats it can say anything beside the signature')
    t.equal(sinceOf(pool, signed(pool, mary, { since: 3 })), 3)
    const now = signed(pool, mary, { since: 1e9 })
    const { tick: signedAt } = JSON.parse(now.signed.text) as Statement
    t.equal(sinceOf(pool, now), signedAt, 'no later than it was signed')
    for (const since of [-1, 1.5]) {
      t.match(send(pool, signed(pool, mary, { since })), { code: 'LICD_NOT_OPERATOR' })
    }

    const open = makePool({ doors: {} })
    open.run(20_000)
    const plain = (id: string, more: object) => ({
      ...request,
      id,
      by: 'x',
      timeoutMs: 5_000,
      ...more,
    })
    t.equal(sinceOf(open, plain('a', {})), 0, 'nothing is known of it')
    t.equal(sinceOf(open, plain('b', { since: 5 })), 5)
    const fresh = sinceOf(open, plain('c', { fresh: true }))
    t.ok(typeof fresh === 'number' && fresh > 10, 'sent for the first time now')
    t.match(send(open, plain('d', { since: -1 })), { code: 'LICD_BAD_REQUEST' })
    const before = makePool({ level: 2, doors: {} })
    const unsaid = sinceOf(before, plain('e', { fresh: true, since: 5 }))
    t.equal(unsaid, undefined, 'servers of before could not read it')
  },
)

/** A real operator's client, run until it is done. */
function operator(pool: SimulatedPool, name: string, credentials: string) {
  const { bus, clock } = pool.connect(name)
  const random = new SeededRandom(name)
  const client = new CtlClient({
    ...{ bus, clock, random, pool: 'simulated', by: 'claimed', timeoutMs: 20_000 },
    signer: signerOf(credentials),
  })
  return async function run<T>(ask: (client: CtlClient) => Promise<T>): Promise<T | string> {
    let end: { readonly value: T | string } | undefined
    ask(client).then(
      value => (end = { value }),
      (error: unknown) => (end = { value: error instanceof LicdError ? error.code : 'other' }),
    )
    for (let n = 0; n < 3_000 && end === undefined; n++) {
      pool.run(10)
      await new Promise(resolve => setImmediate(resolve))
    }
    return end?.value ?? 'no answer'
  }
}

t.test('the operator’s client signs what needs it, again when the pool clock went on', async t => {
  const pool = makePool()
  const run = operator(pool, 'mary', mary)
  t.match(await run(client => client.change('feature-add', request)), { duplicate: false })
  t.match(await run(client => client.ask('snapshot-open', { by: 'x' })), { session: /./ })
  const { leader = '' } = (await run(client => client.transferLeader(undefined))) as {
    leader?: string
  }
  t.ok(three.includes(leader), leader)
  pool.run(400_000)
  const more = { feature: 'cad', count: 1 }
  t.match(await run(client => client.change('allocations-add', more)), { duplicate: false })
  const audit = pool.ask('audit', {})
  t.same(audit?.ok === true && audit.records.slice(1).map(({ by, action }) => [by, action]), [
    ['mary', 'add-feature'],
    ['mary', 'snapshot-save'],
    ['mary', 'transfer-leader'],
    ['mary', 'add-allocations'],
  ])
  const client = operator(pool, 'ws1', of('client', 'ws1'))
  t.equal(await client(one => one.change('allocations-add', more)), 'LICD_NOT_OPERATOR')
})

t.test('a revoked operator changes nothing any more, whatever was under way', async t => {
  const pool = makePool({ snapshotEveryEntries: 30 })
  const root = operator(pool, 'root', of('operator', 'root'))
  const { key } = ownerOf(mary)
  t.match(await root(client => client.change('operators-revoke', { operator: key })), {
    duplicate: false,
  })
  t.match(await root(client => client.change('operators-revoke', { operator: key })), {})
  t.equal(
    await root(client => client.change('operators-revoke', { operator: 'mary' })),
    'LICD_BAD_REQUEST',
  )
  t.match(send(pool, signed(pool, mary)), { code: 'LICD_NOT_OPERATOR', detail: /mary was revoked/ })
  // Proposed by a server that did not know it yet: the ledger refuses it on every server.
  const { state } = pool.server('alpha').ledger
  const command = { id: 'late', deadline: state.tick + 5, by: 'mary', key } as const
  const body = { type: 'add-feature', feature: 'x', allocations: 1 } as const
  const leader = pool.leader?.server ?? ''
  const data = commandCodec.encode({ ...command, body })
  pool.connect('beta-of-old').bus.publish(pool.subjects.peer(leader, 'propose'), data)
  pool.run(5_000)
  t.match(pool.ask('outcome', { id: 'late' }), { result: { code: 'LICD_NOT_OPERATOR' } })
  // A disk that starts from a snapshot alone knows it too.
  pool.run(60_000)
  pool.crash('alpha')
  pool.wipe('alpha')
  pool.start('alpha')
  pool.run(30_000)
  t.ok(pool.server('alpha').ledger.state.revoked.has(key))
  t.match(send(pool, signed(pool, mary), 'alpha'), { code: 'LICD_NOT_OPERATOR' })
  t.match(await root(client => client.change('feature-add', request)), { duplicate: false })
})
