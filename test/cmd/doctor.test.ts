/**
 * `licd doctor`: all is well at a pool that is, and each check finds the fault that is planted for it.
 *
 * Faults that a test cannot make on this machine (a slow disk, an old Node.js, a clock that is off) are planted in what
 * the doctor asks of the host; all others in the files, ports and servers of a real pool.
 */
import {
  chmodSync,
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checks, type Check, type Finding } from '../../lib/doctor/finding.ts'
import { attemptsOf } from '../../lib/doctor/doors.ts'
import { examine, type DoctorOptions } from '../../lib/doctor/doctor.ts'
import { freeBytesMin } from '../../lib/doctor/host.ts'
import { lookAtAccount, lookAtPeers, type Asked, type Heard } from '../../lib/doctor/peers.ts'
import { realSystem, type DoctorSystem } from '../../lib/doctor/system.ts'
import { LicdError } from '../../lib/error.ts'
import { levelMax } from '../../lib/ledger/command.ts'
import { natsOptions } from '../../lib/nats-context.ts'
import type { Member, PoolStatus } from '../../lib/protocol/ctl.ts'
import { packageVersion } from '../../lib/version.ts'
import { SecurePool } from '../access/secure-pool.ts'
import { startNatsServer } from '../nats-server.ts'
import { licd } from './licd-process.ts'

t.setTimeout(300_000)

const { PATH = '' } = process.env
const found = new Set<Check>()

interface Told {
  readonly ok: boolean
  readonly checks: readonly Finding[]
}

/** The doctor's word of a server of a pool; `more` plants faults in the host. */
async function look(
  folder: string,
  more: Partial<DoctorOptions> = {},
  system: Partial<DoctorSystem> = {},
): Promise<Finding[]> {
  const findings: Finding[] = []
  const options: DoctorOptions = {
    folder,
    environment: { PATH },
    ownNats: 'configured',
    nats: () => natsOptions({ context: join(folder, 'nats', 'server.context') }, {}),
    http: undefined,
    version: packageVersion(),
    system: { ...realSystem, ...system },
    ...more,
  }
  await examine(options, finding => {
    findings.push(finding)
  })
  return findings
}

/** That check alone is not well, says why, and what to do. */
function finds(
  t: Test,
  findings: readonly Finding[],
  check: Check,
  state: Finding['state'],
  says: RegExp,
  toDo: RegExp = /./,
): void {
  const finding = findings.find(one => one.check === check && one.state !== 'ok')
  t.match(finding, { state, says, toDo }, `${check}: ${String(says)}`)
  found.add(check)
}

function states(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ state }) => state !== 'ok')
    .map(({ check, says }) => `${check}: ${says}`)
}

t.test('a pool with TLS and roles, as real servers run it', async t => {
  await using pool = await SecurePool.start()
  const alpha = pool.at('alpha')
  const well = await look(alpha)
  // How quick this machine's disk is, is no matter here.
  t.strictSame(
    states(well).filter(text => !text.startsWith('disk sync')),
    [],
  )
  t.strictSame(
    new Set(well.map(({ check }) => check)),
    new Set(checks.slice(1)),
    'all is looked at',
  )
  const text = (check: Check) => well.find(one => one.check === check)?.says ?? ''
  t.match(text('data folder'), /alpha of pool default; process \d+ runs on it/)
  t.match(text('log'), /not looked into: process \d+/)
  t.match(text('ports'), /this server.s own.*this server.s own/)
  t.match(text('peers'), /3 of 3 servers answer/)
  t.match(text('clocks'), /beta [+-]0\.\d+ s, gamma|gamma [+-]0\.\d+ s, beta/)
  t.match(text('permissions'), /allowed, the rest refused/)

  // As its user types it.
  const ran = await licd(['doctor', '--data', alpha, '--http', 'off'])
  t.match(ran, { code: 0, stderr: '', stdout: /^ok {7}configuration/ }, ran.stdout)
  const json = await licd(['doctor', '--data', alpha, '--http', 'off', '--json'])
  t.match(JSON.parse(json.stdout), { ok: true, checks: { length: checks.length } })
  t.notMatch(
    pool.said,
    /"level":"error"(?!.*(raft-quarantined|nats-e))/,
    'the servers took no notice',
  )

  // Someone else's way in: not what the role needs, and the pool goes on.
  const asClient = () => natsOptions({ context: pool.at('client.context') }, {})
  finds(
    t,
    await look(alpha, { nats: asClient }),
    'permissions',
    'failure',
    /publish licd\.v1\.default\.raft\.doctor-alpha\.doctor/,
    /role server/,
  )
  const other = await SecurePool.start({ servers: ['x'] })
  const asStranger = async () => ({
    ...(await natsOptions({ context: join(alpha, 'nats', 'server.context') }, {})),
    credentials:
      (await natsOptions({ context: other.at('operator.context') }, {})).credentials ?? '',
  })
  finds(t, await look(alpha, { nats: asStranger }), 'nats', 'failure', /LICD_NATS_REFUSED/)
  await other[Symbol.asyncDispose]()

  await pool.end('gamma', 'SIGTERM')
  finds(t, await look(alpha), 'peers', 'warning', /2 of 3 servers answer, not gamma/, /doctor/)
  await pool.end('beta', 'SIGKILL')
  finds(t, await look(alpha), 'peers', 'failure', /no majority/)
  await pool.end('alpha', 'SIGTERM')
  const alone = await look(alpha)
  finds(t, alone, 'nats', 'warning', /none answers/, /licd serve/)
  t.match(
    alone.find(({ check }) => check === 'log'),
    { state: 'ok', says: /whole/ },
  )
  t.match(
    alone.find(({ check }) => check === 'ports'),
    { state: 'ok', says: /free.*free/ },
  )
  t.strictSame(
    readdirSync(alpha).filter(name => name.startsWith('doctor')),
    [],
    'it leaves nothing behind',
  )
  await plantInFiles(t, pool)
})

/** In the files of a server that does not run. */
async function plantInFiles(t: Test, pool: SecurePool): Promise<void> {
  const alpha = pool.at('alpha')
  const at = (...names: string[]) => join(alpha, ...names)
  finds(t, await look(pool.at('none')), 'data folder', 'failure', /LICD_NOT_INITIALISED/, /init/)
  finds(t, await look(alpha, { server: 'beta' }), 'data folder', 'failure', /LICD_WRONG_POOL/)
  const said = await look(alpha, { server: 'beta' })
  t.ok(said.length > 8, 'the other checks are made all the same')

  chmodSync(at('pool.key'), 0o644)
  finds(t, await look(alpha), 'key files', 'failure', /LICD_BAD_KEY/, /^chmod 600 .*pool\.key$/)
  chmodSync(at('pool.key'), 0o600)
  renameSync(at('pool.key'), at('own.key'))
  writeFileSync(at('pool.key'), 'x', { mode: 0o600 })
  finds(t, await look(alpha), 'key files', 'failure', /LICD_DATA_DAMAGED/, /another server/)
  renameSync(at('own.key'), at('pool.key'))
  copyFileSync(pool.at('pool.join'), at('pool.join'))
  finds(t, await look(alpha), 'key files', 'warning', /pool\.join is on a server/)
  renameSync(at('pool.join'), pool.at('pool.join'))

  // A flipped bit in the database; then the same told by a start that has not dealt with it yet.
  const log = readdirSync(at('raft', 'db')).find(name => /^\d+\.log$/.test(name)) ?? ''
  const bytes = readFileSync(at('raft', 'db', log))
  const broken = Buffer.from(bytes)
  broken.writeUInt8(broken.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
  writeFileSync(at('raft', 'db', log), broken)
  finds(t, await look(alpha), 'log', 'failure', /LICD_DATA_DAMAGED/, /LICD_DATA_DAMAGED/)
  writeFileSync(at('raft', 'db', log), bytes)
  t.strictSame(
    states(await look(alpha)).filter(text => text.startsWith('log')),
    [],
  )

  const [nats = 0, routes = 0] = (
    /^listen: "\S+:(\d+)"[^]*^ {2}listen: "\S+:(\d+)"/m.exec(
      readFileSync(at('nats', 'nats.conf'), 'utf8'),
    ) ?? []
  )
    .slice(1)
    .map(Number)
  for (const port of [nats, routes]) {
    const stranger = createServer(socket => socket.end('hello\n')).listen(port, '127.0.0.1')
    await once(stranger, 'listening')
    const toDo = port === nats ? /ss -ltnp.*disable --now nats-server/ : /ss -ltnp[^D]*$/
    finds(t, await look(alpha), 'ports', 'failure', new RegExp(`:${port} is taken`), toDo)
    stranger.close()
  }
  const page = createServer().listen(0, '127.0.0.1')
  await once(page, 'listening')
  const bound = page.address()
  const port = typeof bound === 'object' ? (bound?.port ?? 0) : 0
  const http = { address: { host: '127.0.0.1', port }, isDefault: false }
  finds(t, await look(alpha, { http }), 'ports', 'failure', /HTTP .* is taken/)
  const asDefault = await look(alpha, { http: { ...http, isDefault: true } })
  t.match(
    asDefault.find(({ check }) => check === 'ports'),
    { state: 'ok', says: /another one/ },
  )
  page.close()
  const elsewhere = { address: { host: '192.0.2.1', port: 4290 }, isDefault: false }
  finds(t, await look(alpha, { http: elsewhere }), 'ports', 'failure', /no address of this host/)

  const config = readFileSync(at('nats', 'nats.conf'), 'utf8')
  writeFileSync(at('nats', 'nats.conf'), `${config}\nno_such_option: 1\n`)
  finds(t, await look(alpha), 'nats-server', 'failure', /no_such_option/, /nats-server -t/)
  writeFileSync(at('nats', 'nats.conf'), config)
  const environment = { LICD_NATS_SERVER: '/nonexistent' }
  finds(t, await look(alpha, { environment }), 'nats-server', 'failure', /LICD_NATS_MISSING/)

  copyFileSync(at('nats', 'server.key'), at('own.key'))
  copyFileSync(pool.at('beta', 'nats', 'server.key'), at('nats', 'server.key'))
  finds(
    t,
    await look(alpha),
    'certificates',
    'failure',
    /server\.key is not of server\.pem/,
    /join/,
  )
  renameSync(at('own.key'), at('nats', 'server.key'))
  renameSync(at('nats', 'server.context'), at('context'))
  finds(t, await look(alpha), 'nats', 'failure', /server\.context: there is no such/, /licd join/)
  renameSync(at('context'), at('nats', 'server.context'))
  for (const name of ['server.pem', 'ca.pem', 'server.key']) {
    renameSync(at('nats', name), at(name))
    const says = name.endsWith('.key') ? /server\.key is not/ : /LICD_BAD_KEY.*cannot be read/
    finds(t, await look(alpha), 'certificates', 'failure', says, /licd join/)
    renameSync(at(name), at('nats', name))
  }
  chmodSync(at('nats', 'server.key'), 0o640)
  finds(t, await look(alpha), 'certificates', 'failure', /LICD_BAD_KEY/, /^chmod 600/)
  chmodSync(at('nats', 'server.key'), 0o600)
  const day = 86_400_000
  for (const [days, state, says, toDo] of [
    [-30, 'failure', /begins on/, /timedatectl/],
    [20 * 365 - 10, 'warning', /good until/, /First the authority in pool\.join/],
    [21 * 365, 'failure', /ca\.pem ended on/, /First the authority in pool\.join/],
  ] as const) {
    const wall = () => Date.now() + days * day
    const clock = { ...realSystem.clock, wall }
    finds(t, await look(alpha, {}, { clock }), 'certificates', state, says, toDo)
  }
  await plantInHost(t, alpha)
}

/** In what the system says. */
async function plantInHost(t: Test, alpha: string): Promise<void> {
  const denied = { syncTimes: () => Promise.reject(new Error('EACCES: permission denied')) }
  finds(t, await look(alpha, {}, denied), 'disk', 'failure', /cannot be written: EACCES/, /chown/)
  const noSpace = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  const full = await look(alpha, {}, { syncTimes: () => Promise.reject(noSpace) })
  finds(t, full, 'disk', 'failure', /ENOSPC/, /^Free some.*df -h/)
  for (const [free, state] of [
    [freeBytesMin - 1, 'failure'],
    [freeBytesMin + 1, 'warning'],
  ] as const) {
    const low = { freeBytes: () => Promise.resolve(free) }
    finds(t, await look(alpha, {}, low), 'disk', state, /6[34] MiB are free/, /df -h/)
  }
  const slow = { syncTimes: () => Promise.resolve([...Array<number>(31).fill(40), 900]) }
  finds(t, await look(alpha, {}, slow), 'disk sync', 'warning', /40\.0 ms .*900\.0 ms at worst/)
  for (const nodeVersion of ['18.20.0', '20.18.3']) {
    finds(t, await look(alpha, {}, { nodeVersion }), 'node', 'failure', /too old/, /20\.19/)
  }
  const stuck = { clock: { ...realSystem.clock, wall: () => 0 } }
  finds(t, await look(alpha, {}, stuck), 'clock', 'failure', /year 1970/, /timedatectl/)
  const mute = { clock: { ...realSystem.clock, uptime: () => undefined } }
  finds(t, await look(alpha, {}, mute), 'clock', 'warning', /suspended/)
}

t.test('a lab: no roles, and said so', async t => {
  const folder = t.testdir()
  await using nats = await startNatsServer()
  const made = await licd(['init', '--servers', 'solo', '--out', folder])
  t.equal(made.code, 0)
  const solo = join(folder, 'solo')
  const lab = { ownNats: 'none', nats: () => natsOptions({ nats: nats.url }, {}) } as const
  const findings = await look(solo, lab)
  finds(t, findings, 'permissions', 'warning', /all is allowed/)
  finds(t, findings, 'peers', 'warning', /no server of this pool answers/, /licd serve/)
  const away = {
    ownNats: 'none',
    nats: () => natsOptions({ nats: 'nats://127.0.0.1:1' }, {}),
  } as const
  finds(t, await look(solo, away), 'nats', 'failure', /LICD_NATS_UNREACHABLE/)
})

t.test('the configuration', async t => {
  const folder = t.testdir({
    'bad.json': '{',
    'unknown.json': '{"dta": "x"}',
    'kind.json': '{"wait": "x"}',
    'http.json': '{"data": "/nonexistent", "http": "x"}',
  })
  for (const [name, says] of [
    ['bad', /LICD_BAD_CONFIG.*bad\.json/],
    ['unknown', /`dta` is none of/],
    ['kind', /`wait` must be a number/],
    ['http', /no HTTP address/],
    ['missing', /ENOENT/],
  ] as const) {
    const ran = await licd(['doctor', '--config', join(folder, `${name}.json`), '--json'])
    t.equal(ran.code, 1, ran.stderr)
    const { ok, checks: findings } = JSON.parse(ran.stdout) as Told
    t.notOk(ok)
    const toDo = name === 'http' ? /./ : /^Mend it there/
    finds(t, findings, 'configuration', 'failure', says, toDo)
  }
  const ran = await licd(['doctor'])
  t.match(ran, { code: 1, stdout: /^FAILURE {2}configuration no data folder[^]*-> licd doctor/ })
})

t.test('what the peers say', async t => {
  const own = { server: 'alpha', fingerprint: 'F', version: packageVersion() }
  const member = (name: string): Member => ({
    ...{ name, role: 'voter', member: 'voter', state: 'up', leader: false, incarnation: 1 },
    ...{ listedTicksAgo: 0, downInTicks: 30, share: 0, inUse: 0 },
  })
  const members = ['alpha', 'beta', 'gamma'].map(member)
  const said = (server: string, status: Partial<PoolStatus>, offsetMs = 0): Heard => {
    const whole = { fingerprint: 'F', version: own.version, level: levelMax, levelMax, ...status }
    return { server, status: whole as PoolStatus, offsetMs, marginMs: 1 }
  }
  const pool = (...heard: Heard[]): Finding[] => {
    const asked: Asked = { members, heard }
    return lookAtPeers(asked, own)
  }
  const [alpha, beta, gamma] = [said('alpha', {}), said('beta', {}), said('gamma', {})]
  t.strictSame(states(pool(alpha, beta, gamma)), [])
  const late = pool(alpha, beta, said('gamma', {}, -5_000))
  finds(t, late, 'clocks', 'warning', /gamma -5\.00 s/, /clock of gamma/)
  const wrong = pool(alpha, said('beta', {}, 9_000), said('gamma', {}, 9_000))
  finds(t, wrong, 'clocks', 'warning', /beta \+9\.00 s/, /clock of this host/)
  const mixed = pool(alpha, said('beta', { version: '0.0.9' }), gamma)
  finds(t, mixed, 'versions', 'warning', /beta 0\.0\.9/, /Upgrade those of before/)
  const old = pool(said('alpha', { version: '0.0.9' }), beta, gamma)
  finds(t, old, 'versions', 'warning', /./, /Restart this server/)
  const low = { level: levelMax - 1 }
  const ready = pool(said('alpha', low), said('beta', low), said('gamma', low))
  finds(t, ready, 'versions', 'warning', /at level/, /licd ctl upgrade/)
  const ahead = { level: levelMax + 1, levelMax: levelMax + 1 }
  finds(t, pool(said('beta', ahead), gamma), 'versions', 'failure', /./, /Install the version/)
  finds(t, pool(alpha, beta, said('gamma', { fingerprint: 'G' })), 'peers', 'failure', /another/)
  const flooded = pool(said('alpha', { clientLink: { up: true, lost: 9 } }), beta, gamma)
  finds(t, flooded, 'clients', 'warning', /is up, and ended 9 times/, /LicdClientsTooFast/)
  const down = pool(said('alpha', { clientLink: { up: false, lost: 1 } }), beta, gamma)
  finds(t, down, 'clients', 'warning', /is down/, /LicdClientsTooFast/)
  const calm = pool(said('alpha', { clientLink: { up: true, lost: 2 } }), beta, gamma)
  t.match(calm.at(-1), { check: 'clients', state: 'ok' })
  const stranger = lookAtPeers({ members: members.slice(1), heard: [beta, gamma] }, own)
  finds(t, stranger, 'peers', 'warning', /alpha is none of them/, /servers add alpha/)
})

t.test('whom this host shuts out, and whom the others do', async t => {
  const at = (server: string, issuedAt?: number): Heard => {
    const account = issuedAt === undefined ? undefined : { state: 'held' as const, issuedAt }
    return { server, status: {} as PoolStatus, account, offsetMs: 0, marginMs: 1 }
  }
  const look = (...heard: Heard[]): Finding[] => [
    lookAtAccount({ members: [], heard }, { server: 'alpha', issuedAt: 1_000, revoked: 2 }),
  ]
  t.match(look(at('alpha', 1_000), at('beta', 1_000), at('gamma')), [
    { check: 'account', state: 'ok', says: /signed 1970-01-01T00:16:40.*shuts out 2$/ },
  ])
  finds(t, look(at('beta', 2_000)), 'account', 'warning', /newer at beta/, /account-refused/)
  finds(t, look(at('beta', 900)), 'account', 'warning', /older at beta/, /licd ctl account push/)
  const nobody = new LicdError('LICD_NO_SERVER')
  t.match(lookAtAccount(nobody, { server: 'a', issuedAt: 1, revoked: 0 }), { state: 'ok' })
})

t.test('no message of the doctor reaches a server', async t => {
  const { publish, subscribe } = attemptsOf('default', 'alpha')
  t.ok(publish.every(subject => subject.includes('doctor') && !/[*>]/.test(subject)))
  t.ok(subscribe.includes('_INBOX.server.alpha.>'))
})

t.test('every check has found a fault', async t => {
  t.strictSame(new Set(checks), found)
})
