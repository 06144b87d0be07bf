/** `licd ctl top`: frames of given states, and a whole terminal before a pool of processes. */
import { EventEmitter } from 'node:events'
import t from 'tap'
import { showTop } from '../../cmd/ctl/top.ts'
import { topFrame, type TopView } from '../../cmd/ctl/top-frame.ts'
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { viewPool, type PoolView } from '../../lib/ctl/pool-view.ts'
import { systemClock, systemRandom } from '../../raft/index.ts'
import { WatchedPool } from '../watched-pool.ts'
import { call } from './in-process.ts'
import { feature, server, view, type Share } from './views.ts'

t.setTimeout(180_000)

function frame(view: PoolView, change: Partial<TopView> = {}): string[] {
  const usual = { events: [], from: 0, width: 80, height: Infinity }
  return topFrame({ view, ...usual, paint: (_format, text) => text, ...change })
}

const abc = [server('alpha', { leader: true }), server('beta'), server('gamma')]

t.test('a frame: servers, and a bar for each share', t => {
  const dark = [
    { kind: 'silent', server: 'gamma', count: 9, firstInMs: 1, lastInMs: 9_000 },
  ] as const
  const servers = [
    ...abc.slice(0, 2),
    server('gamma', { state: 'silent', listedTicksAgo: 6, downInTicks: 25 }),
  ]
  const shares: readonly Share[] = [
    ['alpha', 8, 6, 10],
    ['beta', 12, 12, 10, 2],
    ['gamma', 10, 4, 10],
  ]
  const lines = frame(view(servers, [feature('cad', shares, { free: 3, dark })]))
  t.strictSame(lines.slice(0, 8), [
    'pool default  leader alpha  revision 6  tick 47  says beta',
    '',
    'SERVER   STATE     ROLE    MAY GRANT FOR    SHARE   IN USE',
    'alpha    up        leader  27 s                 8        6',
    'beta     up                27 s                12       12',
    'gamma    silent            at most 25 s        10       ~4',
    '█ in use  ░ idle  ▒ dark  ▓ owed  · free pool  (~ as of its last keepalive)',
    '',
  ])
  t.match(lines[8], /^cad {6}█+▒+░+·+ +18\/33, 3 free, 10 dark, 2 waiting$/)
  t.match(lines[9], /^ {2}alpha {2}█+░+ +6\/8, 2 lent$/)
  t.match(lines[10], /^ {2}beta {3}█{35,37} 12\/12, 2 borrowed, 2 waiting$/)
  t.match(lines[11], /^ {2}gamma {2}▒+ +~4\/10$/, 'of a silent server all is dark')
  t.equal(lines.length, 12)
  t.end()
})

t.test('no line is longer than the terminal, whatever the names and figures', t => {
  const long = 'n'.repeat(32)
  const servers = Array.from({ length: 5 }, (_, n) => server(`${long.slice(2)}-${n}`))
  const shares = servers.map(({ name }): Share => [name, 1e9, 123_456_789, 5e8, 1e6])
  const features = Array.from({ length: 40 }, (_, n) =>
    feature(`${'f'.repeat(60)}${n}`, shares, { owed: 1e8 }),
  )
  const events = Array.from({ length: 30 }, (_, n) => `${n} ${'moved '.repeat(40)}\u001b[31m`)
  for (const [width, height] of [
    [80, 24],
    [80, 50],
    [40, 10],
    [20, 4],
    [200, 60],
  ] as const) {
    const lines = frame(view(servers, features), { width, height, events, keys: 'q quit', from: 3 })
    t.equal(Math.max(...lines.map(line => line.length)) <= width, true, `${width} columns`)
    t.equal(lines.length, height, `${height} rows`)
    t.match(lines.at(-1), /^q quit$/)
    t.notMatch(lines.join(''), '\u001b', 'nothing that a terminal would obey')
    if (height > 20) t.match(lines.join('\n'), /n…n+-4/, 'names that begin alike are told apart')
  }
  const [tall, small] = [60, 24].map(height =>
    frame(view(servers, features), { height, events, keys: 'q' }).join('\n'),
  )
  t.match(small, /features: \d+ below/)
  t.match(tall, /\n29 moved/, 'the newest event is there')
  t.end()
})

t.test('what is wrong is said at the top', t => {
  const broken = view(abc, [])
  const { leader: _leader, ...status } = { ...broken.status, tickAgeMs: 12_000, heldTicks: 9 }
  const lines = frame({ ...broken, status }, { trouble: 'This is from 4 s ago.' })
  t.match(lines.slice(0, 4), [
    /leader none/,
    'This is from 4 s ago.',
    'beta has heard no leader for 12 s',
    'restored: serves in 9.0 s',
  ])
  t.match(lines.at(-1), /no features yet/)
  t.end()
})

/** A terminal that remembers what was written to it since the last whole frame. */
class FakeTerminal {
  readonly input = Object.assign(new EventEmitter(), {
    isRaw: false,
    setRawMode: (isRaw: boolean) => void (this.input.isRaw = isRaw),
    setEncoding: () => undefined,
    resume: () => undefined,
    pause: () => undefined,
  })
  readonly output = Object.assign(new EventEmitter(), {
    columns: 80,
    rows: 24,
    write: (text: string) => {
      this.written += text
      this.frame = text
      for (const look of [...this.#waiting]) look()
    },
  })
  written = ''
  frame = ''
  readonly #waiting = new Set<() => void>()

  /** Resolves with the first frame, of now or to come, that fits. */
  until(fits: (lines: string[]) => boolean): Promise<string[]> {
    return new Promise(resolve => {
      const look = () => {
        const lines = this.frame.replaceAll('\u001b[H', '').replaceAll('\u001b[K', '').split('\r\n')
        if (!fits(lines)) return
        this.#waiting.delete(look)
        resolve(lines)
      }
      this.#waiting.add(look)
      look()
    })
  }
}

t.test('live, on a pool of processes', async t => {
  await using pool = await WatchedPool.start()
  await pool.processes.ctl(['feature', 'add', 'cad', '9', '--local'])
  await pool.until('shares are spread', ({ features }) => features[0]?.free === 0)
  const ports = { bus: pool.bus, clock: systemClock, random: systemRandom }
  const client = new CtlClient({ ...ports, pool: 'default', by: 'test', timeoutMs: 5_000 })
  t.teardown(() => client.close())
  const terminal = new FakeTerminal()
  let isOver = false
  const over = showTop({
    ...{ bus: pool.bus, client, terminal, everyMs: 200, feature: undefined },
    program: { paint: (_format, text) => text },
    view: await viewPool(client),
  }).then(() => (isOver = true))
  t.equal(terminal.input.isRaw, true)
  const has = (pattern: RegExp) => (lines: string[]) => lines.some(line => pattern.test(line))
  await terminal.until(has(/^cad .* 0\/9/))
  const user = await pool.client('beta')
  await user.acquire('cad', { count: 5, timeout: 30_000 })
  const lines = await terminal.until(has(/^cad .* 5\/9/))
  t.match(lines.at(-1), /q quit/)
  await terminal.until(has(/^\d\d:\d\d:\d\d .* (lends|borrows) \d cad/))
  t.pass('what moved is told')

  terminal.output.columns = 50
  terminal.output.rows = 16
  terminal.output.emit('resize')
  const small = await terminal.until(all => all.length === 16)
  t.ok(Math.max(...small.map(line => line.length)) <= 50)

  const leader = await pool.leader()
  await pool.processes.kill(leader)
  await terminal.until(has(new RegExp(`^${leader} +(silent|up) .*at most`)))
  await terminal.until(has(/ is the leader server$/))
  t.equal(isOver, false)
  terminal.input.emit('data', 'xq')
  await over
  t.equal(terminal.input.isRaw, false)
  t.match(terminal.written, /\u001b\[\?1049l$/, 'the screen of before is back')
  t.equal(terminal.output.listenerCount('resize') + terminal.input.listenerCount('data'), 0)

  const env = { LICD_NATS: pool.processes.nats.url }
  const once = await call(['ctl', 'top', 'cad'], { env })
  t.match(once, { code: 0, stdout: /^pool default [^]*\ncad .*\d\/9/ })
  t.notMatch(once.stdout, '\u001b')
  t.ok(Math.max(...once.stdout.split('\n').map(line => line.length)) <= 80)
  t.match(await call(['ctl', 'top', 'none'], { env }), { code: 'LICD_UNKNOWN_FEATURE' })
})
