// Credentials that are revoked: a real cluster of nats-servers ends their connections and lets them in no more; others go on.
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { revokedMax, revokeUsers } from '../../lib/access/nats-account.ts'
import { ownerOf } from '../../lib/access/operator.ts'
import { readContextFile } from '../../lib/access/context-file.ts'
import { connect } from '../../lib/index.ts'
import { natsOptions } from '../../lib/nats-context.ts'
import { readPoolKey } from '../../lib/pool-key.ts'
import { connectNats, RaftError, type NatsBus } from '../../raft/index.ts'
import { licd } from '../cmd/licd-process.ts'
import { freeAddress, SecurePool } from './secure-pool.ts'

t.setTimeout(300_000)

const times = ['--tick-ms', '500', '--lease-ticks', '60', '--seat-ticks', '60']

interface Listed {
  readonly credentials: readonly {
    readonly role: string
    readonly name: string
    readonly key: string
    readonly state: string
  }[]
  readonly others: readonly string[]
}

t.test('who is revoked is out at every server that took it, and nobody else is', async t => {
  await using pool = await SecurePool.start({ servers: ['alpha', 'beta'], times })
  await pool.ctl('feature', 'add', 'cad', '9', '--local')
  const make = async (name: string, ...more: string[]): Promise<void> => {
    const to = ['--key', pool.at('pool.join'), '--out', pool.at(`${name}.context`)]
    t.match(await licd(['credentials', name, ...to, ...more]), { code: 0 })
  }
  await make('ws7')
  await make('ws8')
  await make('mary', '--role', 'operator')

  const addressOf = new Map<string, string>()
  for (const server of ['alpha', 'beta']) {
    const { url } = await readContextFile(pool.at(server, 'nats', 'server.context'))
    addressOf.set(server, url.split(',')[0] ?? '')
  }
  const enter = async (name: string, server: string): Promise<NatsBus> => {
    const options = await natsOptions({ context: pool.at(`${name}.context`) }, {})
    return await connectNats({
      ...{ ...options, servers: addressOf.get(server) ?? '', waitMs: 20_000 },
    })
  }
  /** Resolves with the first refusal: the nats-server reads its configuration in its own time. */
  const refused = async (name: string, server: string): Promise<string> => {
    for (let tries = 0; tries < 200; tries++) {
      try {
        const bus = await enter(name, server)
        await bus.close()
      } catch (error) {
        return error instanceof RaftError ? error.code : String(error)
      }
    }
    return 'let in'
  }

  await using client = await connect({ context: pool.at('ws8.context') })
  await using seat = await client.acquire('cad')
  let lost = 0
  seat.on('lost', () => lost++)
  const inside = await enter('ws7', 'alpha')
  t.teardown(() => inside.close())
  const out = new Promise<void>(resolve => {
    inside.onStatus(status => {
      if (status === 'down') resolve()
    })
  })

  const revoke = (who: string, to = 'pool.account') =>
    licd(['account', 'revoke', who, '--of', pool.at('pool.join'), '--out', pool.at(to)])
  const take = (server: string, file = 'pool.account') =>
    licd(['account', 'take', pool.at(file), '--to', pool.at(server)])
  const first = await revoke('ws7', 'first.account')
  t.match(first, { code: 0, stdout: /^revoked client ws7 key U/ }, first.stderr)
  t.match(await revoke('ws7'), { code: 2, stderr: /LICD_BAD_CONFIG: .*remembers no credentials/ })
  t.match(await revoke(pool.at('mary.context')), {
    ...{ code: 0, stdout: /^revoked operator mary key U[^]*licd ctl operators revoke U/ },
  })
  const list = await licd(['account', 'list', '--of', pool.at('pool.join'), '--json'])
  const { credentials, others } = JSON.parse(list.stdout) as Listed
  t.same(
    credentials.map(({ role, name, state }) => `${role}.${name} ${state}`),
    [
      ...['server.alpha good', 'server.beta good', 'operator.operator good', 'client.client good'],
      ...['client.ws7 revoked', 'client.ws8 good', 'operator.mary revoked'],
    ],
  )
  t.same(others, [])
  const still = await enter('ws7', 'alpha')
  await still.close()
  t.ok(inside.connected, 'nothing happens before it is taken')

  const taken = await take('alpha')
  t.match(taken, { code: 0, stdout: /shuts out 2\nprocess \d+ reads it again/ }, taken.stderr)
  await out
  t.equal(await refused('ws7', 'alpha'), 'RAFT_BUS_REFUSED')
  t.equal(await refused('mary', 'alpha'), 'RAFT_BUS_REFUSED')
  const elsewhere = await enter('ws7', 'beta')
  t.ok(elsewhere.connected, 'a host that has not taken it lets them in')
  await elsewhere.close()
  t.match(await take('beta'), { code: 0 })
  t.equal(await refused('ws7', 'beta'), 'RAFT_BUS_REFUSED')
  t.match(await take('beta'), { code: 0, stdout: /shuts out 2 already/ })

  t.match(await pool.as('mary', 'ctl', 'status'), { code: 3, stderr: /LICD_NATS_REFUSED/ })
  t.match(await pool.as('operator', 'ctl', 'status'), { code: 0 }, 'others are let in')
  await using more = await client.acquire('cad', { timeout: 60_000 })
  t.ok(more.valid && seat.valid)
  t.equal(lost, 0, 'no seat was lost')
  t.notOk(inside.connected)

  // It stays so when a server starts anew, and for one that joins.
  await pool.end('alpha', 'SIGTERM')
  await pool.serve('alpha')
  t.equal(await refused('ws7', 'alpha'), 'RAFT_BUS_REFUSED')
  const place = `gamma=${await freeAddress()}`
  const join = ['join', place, '--key', pool.at('pool.join'), '--out', pool.at('gamma')]
  t.match(await licd(join), { code: 0 })
  t.match(await take('gamma'), { code: 0, stdout: /shuts out 2 already/ })

  // What is older, altered or another pool's changes nothing.
  const config = readFileSync(pool.at('alpha', 'nats', 'nats.conf'), 'utf8')
  t.match(await take('alpha', 'first.account'), { code: 1, stderr: /LICD_BAD_KEY: .*is older/ })
  const text = readFileSync(pool.at('pool.account'), 'utf8')
  const { account } = JSON.parse(text) as { account: string }
  const [head = '', body = '', signature = ''] = account.split('.')
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>
  const forged = Buffer.from(JSON.stringify({ ...claims, iat: 9e9 })).toString('base64url')
  const altered = JSON.stringify({ format: 1, account: `${head}.${forged}.${signature}` })
  writeFileSync(pool.at('altered.account'), altered)
  t.match(await take('alpha', 'altered.account'), { code: 1, stderr: /LICD_BAD_KEY/ })
  const others2 = ['init', '--servers', `x=${await freeAddress()}`, '--out', pool.at('other')]
  t.equal((await licd(others2)).code, 0)
  const foreign = ['--of', pool.at('other', 'pool.join'), '--out', pool.at('foreign.account')]
  t.match(await licd(['account', 'revoke', 'client', ...foreign]), { code: 0 })
  t.match(await take('alpha', 'foreign.account'), { code: 5, stderr: /LICD_WRONG_POOL/ })
  t.match(await revoke(pool.at('other', 'client.context')), { code: 5, stderr: /LICD_WRONG_POOL/ })
  t.equal(readFileSync(pool.at('alpha', 'nats', 'nats.conf'), 'utf8'), config)

  // As many as an account shuts out; one more is refused.
  const { authority } = await readPoolKey(pool.at('pool.join'))
  if (authority === undefined) throw new Error('no authority')
  const ws8 = ownerOf((await readContextFile(pool.at('ws8.context'))).credentials).key
  const keys = Array.from({ length: revokedMax - 3 }, (_, n) => `U${keyText(n)}`)
  const full = revokeUsers(authority.account, [...keys, ws8], Date.now())
  const content = JSON.stringify({ format: 1, pool: 'default', account: full.accountJwt })
  writeFileSync(pool.at('full.account'), content)
  t.match(await take('beta', 'full.account'), { code: 0, stdout: /shuts out 2000\n/ })
  t.equal(await refused('ws8', 'beta'), 'RAFT_BUS_REFUSED')
  t.throws(() => revokeUsers(full, [`U${keyText(5_000)}`], Date.now()), { code: 'LICD_TOO_MANY' })
})

/** 55 characters of base32, another for each number. */
function keyText(n: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const digits = [...n.toString(32).padStart(55, '0')].map(digit => Number.parseInt(digit, 32))
  return digits.map(digit => letters[digit]).join('')
}
