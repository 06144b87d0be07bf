/** How a server finds out that it was removed, and when it does not believe it (R3). */
import { Packr } from 'msgpackr'
import t from 'tap'
import { memoryStorage, type NodeStatus } from '../../raft/index.ts'
import { silentLogger } from '../../raft/ports.ts'
import { statusOf } from '../../raft/standing.ts'
import { Belonging } from '../../lib/server/belonging.ts'
import { Pool } from '../ledger/pool.ts'
import { MemoryBroker } from '../sim/memory-bus.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

const packr = new Packr({ useRecords: false, int64AsType: 'number' })
const subject = 'servers'
const others = ['b', 'c']
const without = { voters: others, learners: [], outgoing: [] }
const withIt = { ...without, learners: ['a'] }

/** Server `a`, told by a test what its Raft node says, and one other that answers who belongs to the pool. */
function makeServer() {
  const time = new VirtualTime()
  const broker = new MemoryBroker({ time, random: new SeededRandom(1) })
  const clock = new VirtualClock(time)
  const pool = new Pool({ servers: others })
  const told: string[] = []
  let incarnation = 0
  let drained: (() => void) | undefined
  const blank = { id: 'a', storage: memoryStorage(), parts: undefined, stopped: false }
  const status: NodeStatus = {
    ...statusOf({ ...blank, removed: false, readyIndex: undefined }),
    ...{ leader: 'b', quorate: true, lastIndex: 9, configuration: withIt },
  }
  const node = { status }
  const belonging = new Belonging({
    ...{ server: 'a', bus: broker.connect('a', clock), clock, log: silentLogger, subject },
    state: () => pool.ledger.state,
    status: () => node.status,
    probe: done => clock.defer(() => done(true)),
    incarnation: () => incarnation,
    drain: done => {
      told.push('drains')
      drained = done
    },
    beginAnew: () => told.push('begins anew'),
    changed: standing => told.push(standing),
    removed: () => told.push('ends'),
  })
  return {
    ...{ time, told, belonging },
    serve: () => (incarnation = 1),
    drained: () => drained?.(),
    become: (change: Partial<NodeStatus>): void => {
      node.status = { ...node.status, ...change }
      belonging.statusChanged(node.status)
    },
    answer: (servers: readonly { readonly name: string; readonly role: string }[]): void => {
      const bus = broker.connect('b', new VirtualClock(time))
      bus.subscribe(subject, ({ reply }) => {
        const rows = { ok: true, server: 'b', leader: 'b', servers }
        if (reply !== undefined) bus.publish(reply, packr.pack(rows))
      })
    },
  }
}

t.test('what it learns of its own past ends no server that is being taken in again', async t => {
  const { told, become, belonging, time } = makeServer()
  belonging.start()
  time.run(100)
  become({ configuration: without, removed: true })
  become({ configuration: withIt, removed: false })
  time.run(10_000)
  t.strictSame(told, ['member'])
})

t.test('one that does not serve and is spoken to no more asks, and waits', async t => {
  const { told, become, belonging, time, answer } = makeServer()
  answer(others.map(name => ({ name, role: 'voter' })))
  belonging.start()
  time.run(100)
  become({ configuration: without, removed: true })
  time.run(5_000)
  t.strictSame(told, ['member'], 'while it hears a leader the log tells')
  become({ quorate: false })
  time.run(5_000)
  t.strictSame(told, ['member', 'removed'])
  become({ configuration: withIt, removed: false, quorate: true })
  t.strictSame(told, ['member', 'removed', 'member'])
})

t.test('one that serves gives back what it does not use, and ends', async t => {
  const { told, become, belonging, time, serve, drained } = makeServer()
  belonging.start()
  time.run(100)
  serve()
  become({ configuration: without, removed: true })
  t.strictSame(told, ['member', 'drains'])
  drained()
  t.strictSame(told, ['member', 'drains', 'ends'])
})
