/**
 * What goes wrong in the hands of people and programs, on real processes: each gets a coded error or a clean wait,
 * changes nothing and takes nothing down.
 */
import t, { type Test } from 'tap'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { connectNats, type NatsBus } from '../raft/index.ts'
import { connect } from '../lib/index.ts'
import { licd, startLicd } from './cmd/licd-process.ts'
import { ready } from './pool-processes.ts'
import { startNatsServer } from './nats-server.ts'
import { RawSeatClient } from './raw-seat-client.ts'
import { tableOf, WatchedPool } from './watched-pool.ts'

const pool = await WatchedPool.start()
const { processes } = pool
t.teardown(() => pool[Symbol.asyncDispose]())
await processes.ctl(['feature', 'add', 'cad', '9', '--local'])
await pool.until('shares', status => tableOf(status, 'cad').free === 0)

/** Runs `act`; the table, the leader's term and every process must be the same afterwards. */
async function changesNothing(t: Test, act: () => Promise<void>): Promise<void> {
  const before = await pool.look()
  await act()
  const after = await pool.look()
  t.same(tableOf(after, 'cad'), tableOf(before, 'cad'))
  t.equal(after.revision, before.revision, 'no change of the distribution')
  t.equal(after.term, before.term, 'no election')
  t.same(
    after.servers.map(({ incarnation }) => incarnation),
    before.servers.map(({ incarnation }) => incarnation),
    'no server started anew',
  )
  await using client = await connect({ nats: processes.nats.url })
  await using seat = await client.acquire('cad', { timeout: 10_000 })
  t.ok(seat.valid, 'others are served')
}

t.test('ctl: wrong arguments and impossible changes', async t => {
  const cases: readonly (readonly [args: readonly string[], error: RegExp])[] = [
    [['feature', 'add', 'cad', '5', '--local'], /LICD_FEATURE_EXISTS/],
    [['feature', 'add', 'a b', '5', '--local'], /LICD_USAGE/],
    [['feature', 'add', 'x', '0', '--local'], /LICD_USAGE/],
    [['feature', 'add', 'x', '-1', '--local'], /LICD_USAGE/],
    [['feature', 'add', 'x', '1.5', '--local'], /LICD_USAGE/],
    [['feature', 'add', 'x', '1e99', '--local'], /LICD_USAGE/],
    [['allocations', 'add', 'nothing', '5'], /LICD_UNKNOWN_FEATURE/],
    [['allocations', 'add', 'cad', '0'], /LICD_USAGE/],
    [['code', 'remove', 'nothing'], /LICD_UNKNOWN_CODE/],
    [['criteria', 'set', 'cad', 'alpha=10'], /LICD_TARGETS_TOO_LARGE/],
    [['criteria', 'set', 'cad', 'delta=1'], /LICD_UNKNOWN_SERVER/],
    [['criteria', 'set', 'nothing', 'alpha=1'], /LICD_UNKNOWN_FEATURE/],
    [['criteria', 'set', 'cad', '--threshold', '0'], /LICD_BAD_THRESHOLD/],
    [['criteria', 'set', 'cad', '--threshold', '1.5'], /LICD_BAD_THRESHOLD/],
    [['transfer-leader', 'delta'], /LICD_UNKNOWN_SERVER/],
    [['no-such-command'], /LICD_USAGE/],
    [['status', '--no-such-flag'], /LICD_USAGE/],
  ]
  await changesNothing(t, async () => {
    for (const [args, error] of cases) {
      const ran = await processes.tryCtl(args)
      t.not(ran.code, 0, args.join(' '))
      t.match(ran.stderr, error, args.join(' '))
      t.equal(ran.stderr.trim().split('\n').length, 1, 'one line on stderr')
    }
  })
})

t.test('clients: unknown features and impossible counts', async t => {
  await changesNothing(t, async () => {
    await using client = await connect({ nats: processes.nats.url })
    await t.rejects(client.acquire('nothing'), { code: 'LICD_UNKNOWN_FEATURE' })
    await t.rejects(client.acquire('a b'), { code: 'LICD_BAD_REQUEST' })
    for (const count of [0, -1, 1.5, Number.NaN, 1e15, 1_001]) {
      await t.rejects(client.acquire('cad', { count }), { code: 'LICD_BAD_COUNT' }, String(count))
    }
    await t.rejects(client.acquire('cad', { count: 10, timeout: 5_000 }), {
      code: 'LICD_BAD_COUNT',
    })
  })
})

t.test(
  'messages: malformed, oversized, of another version, to subjects of other roles',
  async t => {
    const root = 'licd.v1.default'
    const { bus } = pool
    const big = new Uint8Array(Math.min(bus.maxPayload, 900_000)).fill(0x91)
    const payloads = [
      new Uint8Array(0),
      new Uint8Array([0xc1]),
      new Uint8Array([0x94, 99, 1, 0xa1, 0x78, 0x90]),
      new TextEncoder().encode('{"feature":"cad","count":-1}'),
      big,
    ]
    const subjects = [
      ...['acquire', 'renew', 'release', 'find'].map(operation => `${root}.seat.any.${operation}`),
      ...['status', 'code-add', 'feature-add', 'nothing'].map(op => `${root}.ctl.${op}`),
      ...['v', 'a', 'h', 's', 'propose', 'keepalive', 'ask'].map(c => `${root}.raft.alpha.${c}`),
      `${root}.event.gone.alpha`,
      `${root}.event.sync.alpha`,
    ]
    await changesNothing(t, async () => {
      let answers = 0
      const inbox = `${bus.inbox}.bad`
      const subscription = bus.subscribe(`${inbox}.>`, () => void answers++)
      for (const subject of subjects) {
        for (const data of payloads) {
          for (const type of ['application/json', 'application/octet-stream']) {
            bus.publish(subject, data, {
              reply: `${inbox}.x`,
              headers: { 'Content-Type': type },
            })
          }
        }
      }
      await pool.look()
      t.ok(answers > 0, `${answers} answers, all refusals`)
      subscription.unsubscribe()
    })
  },
)

t.test('a plain NATS request in JSON is answered in JSON, refusals too', async t => {
  const ask = (text: string) => askJson(pool.bus, 'licd.v1.default.seat.any.acquire', text)
  t.match(await ask('{"requestId":"r1","feature":"nothing"}'), { code: 'LICD_UNKNOWN_FEATURE' })
  t.match(await ask('{"requestId":"r2","feature":"cad","count":0}'), { code: 'LICD_BAD_COUNT' })
  t.match(await ask('{"feature":'), { code: 'LICD_BAD_REQUEST' })
  t.match(await ask('[]'), { code: 'LICD_BAD_REQUEST' })
})

t.test('a client that never answers its challenge moves nothing', async t => {
  await changesNothing(t, async () => {
    const raw = new RawSeatClient(pool.bus)
    const token = await raw.acquire('alpha', 'silent-seat', 'cad')
    const item = { seatId: 'silent-seat', feature: 'cad', token, failover: true }
    const first = await raw.renewOnce('beta', item)
    t.equal(first.kind, 'challenge')
    const again = await raw.renewOnce('beta', item)
    t.equal(again.kind, 'challenge', 'the same message again is challenged again')
    t.equal((await raw.renew('alpha', { ...item, failover: false })).kind, 'renewed')
  })
})

t.test(
  'two servers of one name, one data folder, a folder of another pool, no folder at all',
  async t => {
    await changesNothing(t, async () => {
      const run = async (args: readonly string[]) => {
        const second = startLicd(['serve', ...args, '--nats', processes.nats.url])
        const { code } = await second.ended
        return { code, output: second.output() }
      }
      const locked = await run(['--data', join(processes.folder, 'alpha')])
      t.match(locked.output, /LICD_DATA_LOCKED/)
      t.not(locked.code, 0)

      const copy = join(processes.folder, 'copy')
      cpSync(join(processes.folder, 'alpha'), copy, {
        recursive: true,
        filter: path => !path.endsWith('LOCK'),
      })
      t.match((await run(['--data', copy])).output, /LICD_DUPLICATE_SERVER|LICD_DATA_LOCKED/)

      const other = t.testdir()
      t.equal((await licd(['init', 'other', '--servers', 'alpha', '--out', other])).code, 0)
      const wrong = await run(['--data', join(other, 'alpha'), '--pool', 'default'])
      t.match(wrong.output, /LICD_WRONG_POOL/)
      t.match(
        (await licd(['init', 'other', '--servers', 'alpha', '--out', other])).stderr,
        /LICD_ALREADY_INITIALISED/,
      )
      t.match((await run(['--data', join(other, 'nothing')])).output, /LICD_NOT_INITIALISED/)
    })
  },
)

t.test(
  'NATS absent at start: the server waits; lost: everything goes on when it is back',
  async t => {
    const spare = await startNatsServer()
    await spare.stop()
    const folder = t.testdir()
    // A long lease: the seat must outlive the time that a busy machine takes for the steps below.
    const lease = ['--tick-ms', '100', '--lease-ticks', '900', '--seat-ticks', '600']
    await licd(['init', 'default', '--servers', 'solo', '--out', folder, ...lease])
    const solo = startLicd(['serve', '--data', join(folder, 'solo'), '--nats', spare.url])
    t.teardown(() => void solo.child.kill('SIGKILL'))
    await solo.until(/nats-wait|NATS/i)
    let nats = await spare.restart()
    await solo.until(ready)
    const client = await connect({ nats: nats.url })
    t.teardown(() => client.close())
    t.equal(
      (await licd(['ctl', 'feature', 'add', 'cad', '3', '--local', '--nats', nats.url])).code,
      0,
    )
    const seat = await client.acquire('cad', { timeout: 10_000 })

    const disconnected = new Promise(resolve => client.once('disconnected', () => resolve(true)))
    await nats.kill()
    await disconnected
    t.ok(seat.valid, 'a seat is valid for what it was promised')
    const away = await licd(['ctl', 'status', '--nats', nats.url])
    t.match(away.stderr, /LICD_NATS_UNREACHABLE/)
    nats = await nats.restart()
    t.teardown(() => nats.stop())
    await new Promise(resolve => seat.once('renewed', () => resolve(true)))
    t.ok(seat.valid)
    const second = await client.acquire('cad', { timeout: 20_000 })
    t.ok(second.valid, 'and new ones are granted')
  },
)

async function askJson(bus: NatsBus, subject: string, text: string): Promise<unknown> {
  const reply = `${bus.inbox}.json.${text.length}`
  const answer = new Promise<Uint8Array>(resolve => {
    const subscription = bus.subscribe(reply, ({ data }) => {
      subscription.unsubscribe()
      resolve(data)
    })
  })
  bus.publish(subject, new TextEncoder().encode(text), {
    reply,
    headers: { 'Content-Type': 'application/json' },
  })
  return JSON.parse(new TextDecoder().decode(await answer)) as unknown
}

t.test('an address where no NATS is, and NATS that is not reached', async t => {
  await t.rejects(connectNats({ servers: ['nats://127.0.0.1:1'], waitMs: 100 }), {
    code: 'RAFT_BUS_UNREACHABLE',
  })
  await t.rejects(connect({ nats: 'nats://127.0.0.1:1', waitMs: 100 }), {
    code: 'LICD_NATS_UNREACHABLE',
  })
})
