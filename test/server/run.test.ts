import { pack, unpack } from 'msgpackr'
import { randomBytes } from 'node:crypto'
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { LicdError } from '../../lib/error.ts'
import { initPool, openDataFolder, type InitOptions } from '../../lib/pool-files.ts'
import type { CtlAnswers, CtlOperation, CtlReply, CtlRequests } from '../../lib/protocol/ctl.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { startServer, type RunningServer } from '../../lib/server/run.ts'
import { connectNats, silentLogger, systemClock, type NatsBus } from '../../raft/index.ts'
import { startNatsServer } from '../nats-server.ts'

const three = ['alpha', 'beta', 'gamma']
/** Quick, so that the tests are; twenty times as fast as a pool in production. */
const settings = { tickMs: 50, leaseTicks: 40, seatTicks: 40 }
const raft = { electionTimeoutMs: 300, heartbeatMs: 50 }

function initOptions(folder: string, options: Partial<InitOptions> = {}): InitOptions {
  return {
    folder,
    pool: 'test',
    servers: three,
    settings,
    wall: () => systemClock.wall(),
    randomBytes: count => randomBytes(count),
    ...options,
  }
}

const codeOf = (error: unknown): unknown => (error instanceof LicdError ? error.code : error)
const refusal = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => 'resolved', codeOf)

t.test('data folders: made once, opened by one, by the right pool', async t => {
  const folder = t.testdir()
  const made = await initPool(initOptions(folder))
  t.strictSame(Object.keys(made.folders), three)
  t.equal(await refusal(initPool(initOptions(folder))), 'LICD_ALREADY_INITIALISED')
  t.equal(
    await refusal(initPool(initOptions(folder, { servers: ['delta', 'beta'] }))),
    'LICD_ALREADY_INITIALISED',
  )
  t.equal(await refusal(openDataFolder(join(folder, 'delta'))), 'LICD_NOT_INITIALISED')

  const alpha = join(folder, 'alpha')
  const open = await openDataFolder(alpha, { pool: 'test', server: 'alpha' })
  t.equal(open.fingerprint, made.fingerprint)
  t.equal(open.macKey.length, 32)
  t.equal(await refusal(openDataFolder(alpha)), 'LICD_DATA_LOCKED')
  await new Promise<void>(resolve => open.storage.close(resolve))
  t.equal(await refusal(openDataFolder(alpha, { pool: 'other' })), 'LICD_WRONG_POOL')
  t.equal(await refusal(openDataFolder(alpha, { server: 'beta' })), 'LICD_WRONG_POOL')

  const key = join(alpha, 'pool.key')
  await chmod(key, 0o640)
  t.equal(await refusal(openDataFolder(alpha)), 'LICD_BAD_KEY', 'the group may read it')
  await chmod(key, 0o600)
  const text = await readFile(key, 'utf8')
  await writeFile(key, text.replace('"format": 1', '"format": 9'))
  t.equal(await refusal(openDataFolder(alpha)), 'LICD_BAD_KEY')
  await writeFile(key, 'no json')
  t.equal(await refusal(openDataFolder(alpha)), 'LICD_DATA_DAMAGED')

  const elsewhere = join(folder, 'elsewhere')
  await initPool(initOptions(elsewhere))
  await cp(join(elsewhere, 'alpha', 'pool.key'), key)
  t.equal(await refusal(openDataFolder(alpha)), 'LICD_WRONG_POOL', 'the key of another pool')
})

t.test('init refuses by name what cannot be a pool, and writes nothing', async t => {
  const folder = t.testdir()
  const wrong: Partial<InitOptions>[] = [
    { pool: 'a b' },
    { servers: [] },
    { servers: ['alpha', 'alpha'] },
    { servers: ['any'] },
    { servers: Array.from({ length: 8 }, (_, n) => `s${n}`) },
    { settings: { tickMs: 1, leaseTicks: 30, seatTicks: 30 } },
    { settings: { tickMs: 1000, leaseTicks: 30, seatTicks: 31 } },
    { vendors: [{ kid: 'x', name: 'v', publicKey: 'A'.repeat(43) }] },
  ]
  for (const options of wrong) {
    t.equal(await refusal(initPool(initOptions(folder, options))), 'LICD_BAD_CONFIG')
  }
  await mkdir(join(folder, 'empty'))
  t.equal(await refusal(openDataFolder(join(folder, 'empty'))), 'LICD_NOT_INITIALISED')
})

async function ask<Operation extends CtlOperation>(
  bus: NatsBus,
  operation: Operation,
  request: CtlRequests[Operation],
  at?: string,
): Promise<CtlReply<CtlAnswers[Operation]>> {
  const { ctl, ctlAt } = subjects('test')
  const reply = `${bus.inbox}.${operation}.${Math.floor(performance.now() * 1e3)}`
  const answer = new Promise<CtlReply<CtlAnswers[Operation]>>(resolve => {
    const subscription = bus.subscribe(reply, ({ data }) => {
      subscription.unsubscribe()
      resolve(unpack(data))
    })
  })
  bus.publish(at === undefined ? ctl(operation) : ctlAt(operation, at), pack(request), { reply })
  return answer
}

t.test('three servers over NATS and LevelDB', async t => {
  const folder = t.testdir()
  const nats = await startNatsServer()
  t.teardown(() => nats.stop())
  const { folders, fingerprint } = await initPool(initOptions(folder))
  const start = (name: string): Promise<RunningServer> =>
    startServer({
      dataFolder: folders[name] ?? '',
      nats: { servers: nats.url },
      log: silentLogger,
      raft,
      onFatal: error => t.fail(error.message),
    })
  const servers = new Map<string, RunningServer>()
  for (const name of three) servers.set(name, await start(name))
  const bus = await connectNats({ servers: nats.url })
  t.teardown(async () => {
    await bus.close()
    await Promise.all([...servers.values()].map(server => server.stop()))
  })
  await Promise.all([...servers.values()].map(({ serving }) => serving))

  const change = { id: 'add-cad', by: 'test', timeoutMs: 5_000 }
  const added = await ask(bus, 'feature-add', { ...change, feature: 'cad', allocations: 9 }, 'beta')
  t.match(added, { ok: true, server: 'beta', duplicate: false })
  t.match(await ask(bus, 'feature-add', { ...change, feature: 'cad', allocations: 9 }, 'gamma'), {
    ok: true,
    server: 'gamma',
    duplicate: true,
  })
  for (const name of three) {
    const status = await ask(bus, 'status', {}, name)
    t.match(status, { ok: true, server: name, status: { fingerprint, pool: 'test' } })
    t.match(status, { status: { features: [{ name: 'cad', allocations: 9 }] } })
  }

  const duplicate = await startServer({
    dataFolder: folders.alpha ?? '',
    nats: { servers: nats.url },
  }).then(() => 'started', codeOf)
  t.equal(duplicate, 'LICD_DATA_LOCKED', 'two processes on one folder')

  const copied = join(folder, 'copy')
  await servers.get('alpha')?.stop()
  await cp(folders.alpha ?? '', copied, { recursive: true })
  servers.set('alpha', await start('alpha'))
  await servers.get('alpha')?.serving
  let stopTwin: (error: unknown) => void = () => {}
  const twin = new Promise<unknown>(resolve => (stopTwin = resolve))
  await startServer({
    dataFolder: copied,
    nats: { servers: nats.url },
    log: silentLogger,
    raft,
    onFatal: error => stopTwin(error),
  })
  t.equal(codeOf(await twin), 'LICD_DUPLICATE_SERVER', 'two processes of one name')
  t.match(await ask(bus, 'status', {}, 'alpha'), {
    ok: true,
    status: { servers: [{ name: 'alpha', state: 'up', incarnation: 2 }] },
  })
})
