import { pack, unpack } from 'msgpackr'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { LicdError } from '../../lib/error.ts'
import { createLogger, logLevelOf } from '../../lib/log.ts'
import { initPool, openDataFolder, type InitOptions } from '../../lib/pool-files.ts'
import type { CtlAnswers, CtlOperation, CtlReply, CtlRequests } from '../../lib/protocol/ctl.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { fileBookStore, type HandedOver } from '../../lib/server/book-file.ts'
import { startServer, type RunningServer } from '../../lib/server/run.ts'
import { connectNats, silentLogger, systemClock, type NatsBus } from '../../raft/index.ts'
import { startNatsServer } from '../nats-server.ts'

const three = ['alpha', 'beta', 'gamma']
/** Ticks twenty times as fast as in production; the lease is long, so that a busy machine does not end it. */
const settings = { tickMs: 50, leaseTicks: 400, seatTicks: 400 }

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
  t.equal(open.macKeys[0]?.length, 32)
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

t.test('book file - taken once, and only whole', async t => {
  const path = join(t.testdir(), 'seats.book')
  const store = fileBookStore(path)
  const take = (): HandedOver | undefined => {
    let taken: HandedOver | undefined
    store.take((book, problem) => {
      t.equal(problem, undefined)
      taken = book
    })
    return taken
  }
  const book = { incarnation: 4, data: new Uint8Array([1, 2, 3]) }
  t.equal(take(), undefined)
  store.write(book, problem => t.equal(problem, undefined))
  t.strictSame(take(), book)
  t.notOk(existsSync(path))
  store.write(book, () => {})
  const bytes = readFileSync(path)
  for (const damaged of [bytes.subarray(1), Buffer.alloc(3), Buffer.from(bytes).fill(0, 4, 6)]) {
    writeFileSync(path, damaged)
    t.equal(take(), undefined)
    t.notOk(existsSync(path), 'gone all the same')
  }
  const nowhere = fileBookStore(join(path, 'no', 'folder'))
  nowhere.write(book, problem => t.match(problem, { code: 'LICD_STORAGE' }))
})

t.test('log - JSON lines, a level, and no secrets', async t => {
  const to = new PassThrough()
  const log = createLogger({ level: 'info', base: { server: 'alpha' }, to })
  log.debug('unheard')
  log.info('started', { port: 1, token: 'secret', peer: { macKey: 'secret' } })
  log.error('failed', { error: new Error('why') })
  const text = String(to.read())
  t.notMatch(text, /secret|unheard/)
  const [first, second] = text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  t.match(first, { level: 'info', msg: 'started', server: 'alpha', port: 1, time: /^\d{4}-/ })
  t.match(second, { level: 'error', error: { message: 'why', stack: /./ } })
  t.equal(logLevelOf(undefined), 'info')
  t.equal(logLevelOf('debug'), 'debug')
  t.throws(() => logLevelOf('loud'), { code: 'LICD_BAD_CONFIG' })
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
      resolve(unpack(data) as CtlReply<CtlAnswers[Operation]>)
    })
  })
  bus.publish(at === undefined ? ctl(operation) : ctlAt(operation, at), pack(request), { reply })
  return answer
}

/** The outcome of an acquire; that it waits is only the first word on it. */
function askJson(bus: NatsBus, subject: string, request: object): Promise<unknown> {
  const reply = `${bus.inbox}.json`
  return new Promise(resolve => {
    const subscription = bus.subscribe(reply, ({ data }) => {
      const answer = JSON.parse(new TextDecoder().decode(data)) as { kind: string }
      if (answer.kind === 'waiting') return
      subscription.unsubscribe()
      resolve(answer)
    })
    const data = new TextEncoder().encode(JSON.stringify(request))
    bus.publish(subject, data, { reply, headers: { 'Content-Type': 'application/json' } })
  })
}

/** Asks again every half second until an answer comes: what is published while the link is down is lost. */
function askUntil<Answer>(run: () => Promise<Answer>): Promise<Answer> {
  return new Promise(resolve => {
    const again = setInterval(() => void run().then(finish), 500)
    const finish = (answer: Answer): void => {
      clearInterval(again)
      resolve(answer)
    }
  })
}

t.test('without NATS a server waits, says so, and can be told to give up', async t => {
  const folder = t.testdir()
  const { folders } = await initPool(initOptions(folder, { servers: ['alpha'] }))
  const nats = await startNatsServer()
  const { url } = nats
  await nats.stop()
  const abort = new AbortController()
  const seen: string[] = []
  const warn = (event: string): void => {
    seen.push(event)
    abort.abort()
  }
  const start = startServer({
    dataFolder: folders.alpha ?? '',
    nats: { servers: url },
    log: { ...silentLogger, warn },
    signal: abort.signal,
  })
  t.equal(await refusal(start), 'LICD_CLOSED')
  t.strictSame(seen, ['nats-wait'])
  const again = startServer({
    dataFolder: folders.alpha ?? '',
    nats: { servers: url, waitMs: 0 },
    log: silentLogger,
  })
  t.equal(await refusal(again), 'LICD_NATS_UNREACHABLE', 'the folder was given free')
})

t.test('three servers over NATS and LevelDB', async t => {
  const folder = t.testdir()
  let nats = await startNatsServer()
  const { folders, fingerprint } = await initPool(initOptions(folder))
  const start = (name: string): Promise<RunningServer> =>
    startServer({
      dataFolder: folders[name] ?? '',
      nats: { servers: nats.url },
      log: silentLogger,
      onFatal: error => t.fail(error.message),
    })
  const servers = new Map<string, RunningServer>()
  for (const name of three) servers.set(name, await start(name))
  const bus = await connectNats({ servers: nats.url })
  t.teardown(async () => {
    await Promise.all([...servers.values()].map(server => server.stop()))
    await bus.close()
    await nats.stop()
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

  const item = { requestId: 'r1', feature: 'cad', count: 2, user: 'u', host: 'h', waitMs: 5_000 }
  const granted = await askJson(bus, subjects('test').seat('any', 'acquire'), {
    clientId: 'c1',
    ...item,
  })
  t.match(granted, { kind: 'granted', requestId: 'r1' }, 'a seat, borrowed on demand')

  await nats.stop()
  nats = await nats.restart()
  // The servers' links and this one's are mended by themselves; until then there is no answer.
  const later = { ...change, id: 'after', feature: 'cam', allocations: 3, timeoutMs: 10_000 }
  t.match(await askUntil(() => ask(bus, 'feature-add', later)), { ok: true }, 'NATS came back')

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
    onFatal: error => stopTwin(error),
  })
  t.equal(codeOf(await twin), 'LICD_DUPLICATE_SERVER', 'two processes of one name')
  t.match(await ask(bus, 'status', {}, 'alpha'), {
    ok: true,
    status: { servers: [{ name: 'alpha', incarnation: 2 }] },
  })
  const [server] = servers.values()
  await Promise.all([...servers.values()].map(one => one.stop()))
  t.ok(existsSync(join(folders.beta ?? '', 'seats.book')), 'a clean stop leaves the book')
  await server?.stop()
})
