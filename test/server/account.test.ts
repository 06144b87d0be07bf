// The pool's NATS account in a simulated pool: who has which, handed over by a signed request and from server to server.
import t from 'tap'
import {
  claimsOf,
  makeAccount,
  makeCredentials,
  revokeUsers,
  subjectOf,
} from '../../lib/access/nats-account.ts'
import { signerOf } from '../../lib/access/operator.ts'
import { LicdError } from '../../lib/error.ts'
import { accountBounds } from '../../lib/protocol/account.ts'
import type { AccountStore } from '../../lib/server/account-holder.ts'
import { asLicdError } from '../../lib/server/fatal.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from '../sim/pool.ts'

const started = 1_750_000_000_000
const key = (letter: string): string => `U${letter.repeat(55)}`
const first = makeAccount('simulated', started)
const issuer = subjectOf(first.accountJwt)
const second = revokeUsers(first, [key('A')], started + 60_000)
const third = revokeUsers(second, [key('B')], started + 120_000)
const mary = makeCredentials(first, {
  ...{ pool: 'simulated', role: 'operator', name: 'mary', now: started },
})
const three = ['alpha', 'beta', 'gamma']

/** What a server keeps on its disk, and how often its nats-server read it. */
interface Kept {
  jwt: string
  loads: number
  broken: boolean
}

function keptStore(kept: Kept): AccountStore {
  const held = () => {
    const { iat, revocations } = claimsOf(kept.jwt)
    return { jwt: kept.jwt, issuedAt: iat, revoked: Object.keys(revocations).length }
  }
  const broken = new LicdError('LICD_STORAGE', 'full.')
  return {
    load: () => void kept.loads++,
    read: done => (kept.broken ? done(undefined, broken) : done(held())),
    take(jwt, done) {
      const unchanged = jwt === kept.jwt
      try {
        if (claimsOf(jwt).iat < claimsOf(kept.jwt).iat) throw new LicdError('LICD_BAD_KEY')
      } catch (cause) {
        done(undefined, asLicdError(cause))
        return
      }
      kept.jwt = jwt
      done({ ...held(), unchanged })
    },
  }
}

function makePool(options: Partial<PoolOptions> = {}) {
  const kept = new Map(
    three.map(name => [name, { jwt: first.accountJwt, loads: 0, broken: false }]),
  )
  const pool = simulatePool({
    ...{ seed: 6, servers: three, doors: { issuer } },
    accountStore: name => {
      const own = kept.get(name)
      return own && keptStore(own)
    },
    ...options,
  }).startAll()
  pool.settle()
  const at = (name: string): Kept => {
    const found = kept.get(name)
    if (found === undefined) throw new Error(name)
    return found
  }
  return { pool, at }
}

let ids = 0

/** Pushes an account as `credentials` sign it. */
function push(pool: SimulatedPool, account: unknown, credentials?: string, at = 'beta') {
  const now = pool.ask('now', {})
  if (now?.ok !== true) throw new Error('no time')
  const { cluster, tick } = now
  const id = `p${++ids}`
  const request = { account, by: 'mary' }
  const statement = JSON.stringify({ cluster, tick, operation: 'account-push', id, request })
  const signed = credentials === undefined ? {} : { signed: signerOf(credentials).sign(statement) }
  return pool.askRaw('account-push', { ...request, ...signed }, { at })
}

const actions = (pool: SimulatedPool): string[] => {
  const audit = pool.ask('audit', {})
  if (audit?.ok !== true) throw new Error('no audit')
  return audit.records.map(({ by, action }) => `${by} ${action}`).slice(1)
}

t.test(
  'what an operator pushes to one server all have, each says so, and each loads it once',
  t => {
    const { pool, at } = makePool()
    t.match(push(pool, second.accountJwt, mary), {
      ...{ ok: true, revoked: 1, issuedAt: started / 1000 + 60 },
      servers: three.map(server => ({ server, state: 'taken', loads: true })),
    })
    pool.run(20_000)
    for (const name of three) {
      t.equal(at(name).jwt, second.accountJwt)
      t.equal(at(name).loads, 1)
    }
    t.match(actions(pool).sort(), [
      'mary account-push',
      ...three.map(name => `server:${name} account-taken`),
    ])
    t.match(push(pool, second.accountJwt, mary, 'alpha'), {
      servers: three.map(server => ({ server, state: 'held' })),
    })
    pool.run(20_000)
    t.equal(at('gamma').loads, 1, 'not read again where nothing is new')
    t.end()
  },
)

t.test('a server that was down, or told by hand, makes up with the others', t => {
  const { pool, at } = makePool()
  pool.crash('gamma')
  const { servers } = push(pool, second.accountJwt, mary) as { servers: object[] }
  t.match(servers[2], { server: 'gamma', state: 'silent' })
  pool.start('gamma')
  pool.runUntil(() => at('gamma').jwt === second.accountJwt, 60_000)
  t.equal(at('gamma').jwt, second.accountJwt)
  at('alpha').jwt = third.accountJwt
  pool.runUntil(() => three.every(name => at(name).jwt === third.accountJwt), 120_000)
  t.ok(three.every(name => at(name).jwt === third.accountJwt))
  pool.run(30_000)
  t.equal(actions(pool).filter(text => text.endsWith('account-taken')).length, 6)
  t.end()
})

t.test(
  'what is not signed, not the pool\u2019s, older, too large or no account changes nothing',
  t => {
    const { pool, at } = makePool()
    t.match(push(pool, second.accountJwt), { ok: false, code: 'LICD_UNSIGNED' })
    const client = makeCredentials(first, {
      ...{ pool: 'simulated', role: 'client', name: 'ws7', now: started },
    })
    t.match(push(pool, second.accountJwt, client), { code: 'LICD_NOT_OPERATOR' })
    const foreign = makeAccount('simulated', started + 900_000)
    t.match(push(pool, foreign.accountJwt, mary), { code: 'LICD_WRONG_POOL' })
    t.match(push(pool, `${second.accountJwt}x`, mary), { code: 'LICD_BAD_KEY' })
    t.match(push(pool, 'x'.repeat(accountBounds.jwtBytes + 1), mary), { code: 'LICD_TOO_LARGE' })
    t.match(push(pool, 7, mary), { code: 'LICD_BAD_REQUEST' })
    const at1 = (message: object) => pool.askRaw('account', message, { at: 'alpha' })
    t.match(at1({ account: 'no' }), { code: 'LICD_BAD_KEY' })
    t.match(at1({ account: 7 }), { code: 'LICD_BAD_REQUEST' })
    t.match(at1({}), { ok: true, state: 'held', revoked: 0, account: undefined })
    t.match(at1({ have: 1 }), { ok: true, account: first.accountJwt })
    t.match(push(pool, second.accountJwt, mary), { ok: true })
    t.match(push(pool, first.accountJwt, mary), { code: 'LICD_BAD_KEY' })
    at('alpha').broken = true
    t.match(at1({}), { code: 'LICD_STORAGE' })
    t.equal(actions(pool).filter(text => text === 'mary account-push').length, 1)
    t.end()
  },
)

t.test('without a majority it is refused; where NATS is configured elsewhere that is said', t => {
  const { pool, at } = makePool()
  pool.crash('gamma')
  pool.crash('alpha')
  t.match(pool.askRaw('account', {}, { at: 'beta' }), { ok: true, state: 'held' })
  pool.run(10_000)
  t.match(push(pool, second.accountJwt, mary), { code: 'LICD_NO_LEADER' })
  t.equal(at('beta').jwt, first.accountJwt)

  const { pool: other } = makePool({ accountStore: () => undefined })
  t.match(push(other, second.accountJwt, mary), { code: 'LICD_BAD_CONFIG' })
  t.match(other.askRaw('account', {}, { at: 'beta' }), { ok: true, state: 'elsewhere' })
  t.end()
})
