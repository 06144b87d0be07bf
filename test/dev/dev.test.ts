/** `licd dev`: what it draws, what it tells, and that it leaves nothing behind. */
import t from 'tap'
import { existsSync } from 'node:fs'
import { describe } from '../../lib/ctl/words.ts'
import { draw, type DevView } from '../../lib/dev/view.ts'
import type { PoolStatus } from '../../lib/protocol/ctl.ts'
import type { SyncEvent } from '../../lib/protocol/event.ts'
import { startLicd } from '../cmd/licd-process.ts'

const status: PoolStatus = {
  pool: 'default',
  fingerprint: 'f',
  leader: 'alpha',
  term: 2,
  tick: 12,
  calendar: 0,
  revision: 3,
  commitIndex: 9,
  lastApplied: 9,
  settings: { tickMs: 500, leaseTicks: 20, seatTicks: 12 },
  tickAgeMs: 10,
  leaseLeftMs: 9_000,
  hash: 'h',
  servers: ['alpha', 'beta'].map(name => ({
    name,
    state: name === 'alpha' ? 'up' : 'silent',
    leader: name === 'alpha',
    incarnation: 1,
    listedTicksAgo: 0,
    downInTicks: 20,
  })),
  features: [
    {
      name: 'demo',
      allocations: 10,
      owed: 0,
      free: 3,
      even: true,
      shares: [
        { server: 'alpha', share: 5, inUse: 4, target: 5, threshold: 0.9, demand: 2 },
        { server: 'beta', share: 2, inUse: 0, target: 5, threshold: 0.9, demand: 0 },
      ],
    },
  ],
}

const view: DevView = {
  status,
  events: Array.from({ length: 50 }, (_, n) => `event ${n} ${'x'.repeat(200)}`),
  killed: new Set(),
  clients: 'clients hold 4/4',
  hints: ['Page: http://127.0.0.1:4290', 'In a second terminal: licd ctl status'],
  width: 80,
  height: 24,
  colours: false,
}

t.test('a frame: shares as bars, who waits, the newest events, cut to the terminal', t => {
  const lines = draw(view)
  t.ok(lines.length <= view.height, `${lines.length} lines`)
  t.ok(lines.every(line => line.length <= view.width))
  t.match(lines[0], /leader alpha .*alpha\* up .*beta silent/)
  const alpha = lines.find(line => line.startsWith('  alpha'))
  t.match(alpha, /████░ .*4\/5 in use, target 5 2 waiting/)
  t.match(
    lines.find(line => line.startsWith('  free')),
    /···$/,
  )
  t.ok(
    lines.some(line => line.startsWith('event 49')),
    'the newest event is shown',
  )
  t.notOk(lines.some(line => line.startsWith('event 0 ')))
  t.match(draw({ ...view, killed: new Set(['beta']) })[0], /beta killed/)
  t.match(draw({ ...view, status: undefined }).join('\n'), /Waiting for the first server/)
  t.match(draw({ ...view, colours: true }).join('\n'), /\u001b\[/)
  t.end()
})

t.test('events: what was done together is told together, and only by the leader', t => {
  const event: SyncEvent = {
    server: 'alpha',
    leader: true,
    revision: 4,
    tick: 13,
    index: 10,
    features: [],
    more: false,
    changes: [
      ...[1, 2].map(() => ({
        type: 'borrow',
        feature: 'demo',
        by: 'server:beta',
        to: 'beta',
        taken: [{ source: 'move', server: 'gamma', count: 1 }],
      })),
      {
        type: 'lend',
        feature: 'demo',
        by: 'server:gamma',
        to: 'beta',
        taken: [{ source: 'offer', server: 'gamma', count: 3 }],
      },
      { type: 'borrow', feature: 'demo', by: 'server:beta', to: 'beta' },
      { type: 'hello', by: 'server:beta' },
    ],
  }
  t.same(describe(event), [
    "beta borrows 2 demo from gamma, along with clients' seats",
    'gamma lends 3 demo to beta, where clients wait',
    'beta finds no demo to borrow and waits',
  ])
  t.same(describe({ ...event, leader: false }), [])
  t.end()
})

t.test(
  'without a nats-server and without a terminal: plain lines, a pool that works, and nothing left',
  async t => {
    const dev = startLicd(['dev', '--embedded'])
    t.teardown(() => void dev.child.kill('SIGKILL'))
    await dev.until(/built-in broker at nats:\/\/127\.0\.0\.1:\d+ \(for trying out only\)/)
    await dev.until(/In a second terminal: .*ctl status --nats/)
    await dev.until(/(borrows|lends) \d+ demo/)
    await dev.until(/clients hold/)
    await dev.until(/Page: http:\/\/127\.0\.0\.1:\d+/)
    const page = /Page: (\S+)/.exec(dev.output())?.[1] ?? ''
    t.match(await (await fetch(page)).text(), '<title>licd</title>')
    const folder = /Data: (\S+)/.exec(dev.output())?.[1] ?? ''
    t.ok(existsSync(folder), folder)
    dev.child.kill('SIGINT')
    t.equal((await dev.ended).code, 0)
    t.match(dev.output(), /nothing is left behind/)
    t.notOk(existsSync(folder), 'its folder is gone')
    t.notMatch(dev.output(), /LICD_INTERNAL/)
  },
)
