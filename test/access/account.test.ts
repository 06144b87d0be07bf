// An account that an operator brings to one server is taken by all; by those that were down too, when they are back.
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { readContextFile } from '../../lib/access/context-file.ts'
import { revokedMax, revokeUsers } from '../../lib/access/nats-account.ts'
import { ownerOf } from '../../lib/access/operator.ts'
import { connect } from '../../lib/index.ts'
import { natsOptions } from '../../lib/nats-context.ts'
import { readPoolKey } from '../../lib/pool-key.ts'
import type { AccountAt } from '../../lib/protocol/account.ts'
import { connectNats, RaftError } from '../../raft/index.ts'
import { licd } from '../cmd/licd-process.ts'
import { SecurePool } from './secure-pool.ts'

t.setTimeout(300_000)

const times = ['--tick-ms', '500', '--lease-ticks', '60', '--seat-ticks', '60']
const three = ['alpha', 'beta', 'gamma']

interface Pushed {
  readonly revoked: number
  readonly servers: readonly AccountAt[]
}

interface Listed {
  readonly server: string
  readonly issuedAt?: number
  readonly revoked?: number
}

/** What each line of `licd ctl ... --json` says. */
function linesOf<T>(text: string): T[] {
  return text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as T)
}

t.test(
  'an account pushed to one server shuts out at all of them, and is in the audit log',
  async t => {
    await using pool = await SecurePool.start({ servers: three, times })
    await pool.ctl('feature', 'add', 'cad', '9', '--local')
    const make = async (name: string, ...more: string[]): Promise<void> => {
      const to = ['--key', pool.at('pool.join'), '--out', pool.at(`${name}.context`)]
      t.match(await licd(['credentials', name, ...to, ...more]), { code: 0 })
    }
    await make('ws7')
    await make('ws8')
    await make('mary', '--role', 'operator')
    const revoke = async (who: string, out: string, of = pool.at('pool.join')): Promise<void> => {
      const ran = await licd(['account', 'revoke', who, '--of', of, '--out', pool.at(out)])
      t.match(ran, { code: 0 }, ran.stderr)
    }
    /** Resolves with the first refusal: a nats-server reads its configuration in its own time. */
    const refused = async (name: string, server: string): Promise<string> => {
      const { url } = await readContextFile(pool.at(server, 'nats', 'server.context'))
      const options = await natsOptions({ context: pool.at(`${name}.context`) }, {})
      for (let tries = 0; tries < 500; tries++) {
        try {
          const servers = url.split(',')[0] ?? ''
          const bus = await connectNats({ ...options, servers, waitMs: 20_000 })
          await bus.close()
        } catch (error) {
          return error instanceof RaftError ? error.code : String(error)
        }
      }
      return 'let in'
    }
    const list = async (): Promise<Listed[]> =>
      linesOf<Listed>((await pool.as('operator', 'ctl', 'account', 'list', '--json')).stdout)

    await using client = await connect({ context: pool.at('ws8.context') })
    await using seat = await client.acquire('cad')
    let lost = 0
    seat.on('lost', () => lost++)

    // Who sends how much can be seen on each host, by the key that is to be revoked.
    const { key: holder } = ownerOf((await readContextFile(pool.at('ws8.context'))).credentials)
    const connections: { authorized_user?: string; in_msgs?: number }[] = []
    for (const server of three) {
      const config = readFileSync(pool.at(server, 'nats', 'nats.conf'), 'utf8')
      const [, address = ''] = /^http: "(.+)"$/m.exec(config) ?? []
      const answer = await fetch(`http://${address}/connz?auth=1&sort=msgs_from`)
      const body = (await answer.json()) as { connections: typeof connections }
      connections.push(...body.connections)
    }
    const own = connections.filter(({ authorized_user: user }) => user === holder)
    t.ok(own.length > 0 && own.every(({ in_msgs: sent = 0 }) => sent > 0))

    // A second copy of pool.join, which will not know of whom the first one shuts out.
    writeFileSync(pool.at('copy.join'), readFileSync(pool.at('pool.join')), { mode: 0o600 })
    await revoke('ws7', 'pool.account')
    const pushed = await pool.ctl<Pushed>('account', 'push', pool.at('pool.account'))
    t.strictSame(
      pushed.servers,
      three.map(server => ({ server, state: 'taken', loads: true })),
    )
    t.equal(pushed.revoked, 1)
    for (const server of three) t.equal(await refused('ws7', server), 'RAFT_BUS_REFUSED', server)
    t.ok(seat.valid)

    const again = await pool.as('operator', 'ctl', 'account', 'push', pool.at('pool.account'))
    t.match(again, { code: 0, stdout: /shuts out 1\nalpha +had it\nbeta +had it\ngamma +had it\n/ })
    t.match(
      await list(),
      three.map(server => ({ server, revoked: 1 })),
    )

    // Who is down is told by the others.
    await pool.end('gamma', 'SIGTERM')
    await revoke('mary', 'pool.account')
    const without = await pool.as('operator', 'ctl', 'account', 'push', pool.at('pool.account'))
    t.match(without, {
      code: 0,
      stdout: /shuts out 2\nalpha +took it\nbeta +took it\ngamma +does not answer: it takes it/,
    })
    await pool.serve('gamma')
    await pool.running('gamma').until(/"msg":"account-taken"/)
    t.equal(await refused('mary', 'gamma'), 'RAFT_BUS_REFUSED')

    // As many as an account shuts out go along, too; by hand at one server is enough.
    const { authority } = await readPoolKey(pool.at('pool.join'))
    if (authority === undefined) throw new Error('no authority')
    const keys = Array.from({ length: revokedMax - 2 }, (_, n) => `U${keyText(n)}`)
    const full = revokeUsers(authority.account, keys, Date.now())
    const content = JSON.stringify({ format: 1, pool: 'default', account: full.accountJwt })
    writeFileSync(pool.at('full.account'), content)
    const taken = await licd(['account', 'take', pool.at('full.account'), '--to', pool.at('beta')])
    t.match(taken, { code: 0 }, taken.stderr)
    for (const server of ['alpha', 'gamma']) {
      await pool.running(server).until(/"revoked":2000,"msg":"account-taken"/)
    }
    t.match(
      await list(),
      three.map(server => ({ server, revoked: 2000 })),
    )
    const large = await pool.as('operator', 'ctl', 'account', 'push', pool.at('full.account'))
    t.match(large, { code: 0, stdout: /shuts out 2000\nalpha +had it/ }, large.stderr)

    // What is older, lets somebody in again, is forged, or comes from who may not, changes nothing.
    const before = three.map(server => readFileSync(pool.at(server, 'nats', 'nats.conf'), 'utf8'))
    const push = (file: string, as = 'operator') =>
      pool.as(as, 'ctl', 'account', 'push', pool.at(file))
    t.match(await push('pool.account'), { code: 1, stderr: /LICD_BAD_KEY: .*older/ })
    await revoke('ws8', 'other.account', pool.at('copy.join'))
    const { account } = JSON.parse(readFileSync(pool.at('other.account'), 'utf8')) as {
      account: string
    }
    const late = revokeUsers({ ...authority.account, accountJwt: account }, [], Date.now() + 60_000)
    const lateText = JSON.stringify({ format: 1, pool: 'default', account: late.accountJwt })
    writeFileSync(pool.at('late.account'), lateText)
    t.match(await push('late.account'), { code: 1, stderr: /LICD_BAD_KEY: .*let 2000 in again/ })
    t.match(await push('full.account', 'client'), { code: 2, stderr: /for the role client/ })
    t.match(await push('full.account', 'mary'), { code: 3, stderr: /LICD_NATS_REFUSED/ })
    t.strictSame(
      three.map(server => readFileSync(pool.at(server, 'nats', 'nats.conf'), 'utf8')),
      before,
    )

    const audit = await pool.as('operator', 'ctl', 'audit', '--json')
    const records = linesOf<{ by: string; key?: string; action: string; detail?: string }>(
      audit.stdout,
    ).filter(({ action }) => action.startsWith('account-'))
    const first = records.slice(0, 4)
    t.match(first[0], { by: 'operator', key: /^U/, action: 'account-push', detail: /shuts out 1$/ })
    t.strictSame(
      first
        .slice(1)
        .map(({ by, action }) => `${by} ${action}`)
        .sort(),
      three.map(server => `server:${server} account-taken`),
    )
    t.ok(records.some(({ by, detail }) => by === 'server:gamma' && detail?.endsWith('out 2')))
    await using more = await client.acquire('cad', { timeout: 60_000 })
    t.ok(more.valid && seat.valid)
    t.equal(lost, 0, 'no seat was lost')
  },
)

/** 55 characters of base32, another for each number. */
function keyText(n: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const digits = [...n.toString(32).padStart(55, '0')].map(digit => Number.parseInt(digit, 32))
  return digits.map(digit => letters[digit]).join('')
}
