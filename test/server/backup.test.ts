// A snapshot on its way to an operator: one at a time, chunk by chunk, given up when nobody asks. And epochs.
import t from 'tap'
import type { Answer } from '../../lib/server/ctl-wire.ts'
import { Backups } from '../../lib/server/backup.ts'
import { EpochWatch } from '../../lib/server/epoch-watch.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { MemoryBroker } from '../sim/memory-bus.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

const header = {
  ...{ pool: 'p', fingerprint: 'f', clusterId: 'c', epoch: 1, index: 9, term: 2, tick: 5 },
  ...{ hash: 'h', savedAt: 0 },
}

t.test('chunks are read in order, the last one again if need be, by one reader', async t => {
  const time = new VirtualTime()
  let ended = 0
  function* slices(): Generator<Uint8Array> {
    try {
      yield Buffer.from('one')
      yield Buffer.from('two')
    } finally {
      ended++
    }
  }
  const backups = new Backups({
    clock: new VirtualClock(time),
    random: new SeededRandom(1),
    open: () => ({ header, slices: slices() }),
  })
  const open = (caughtUp = true): Answer => {
    let answer: Answer | undefined
    backups.open(caughtUp, given => (answer = given))
    return answer ?? { ok: true, data: {} }
  }
  const read = (session: unknown, chunk: unknown): object => {
    let answer: object = {}
    backups.read({ session, chunk }, given => (answer = given))
    return answer
  }
  const sessionOf = (answer: Answer): string =>
    answer.ok && 'session' in answer.data ? String(answer.data.session) : ''

  t.match(open(false), { ok: false, code: 'LICD_NO_LEADER' }, 'it may not know what is newest')
  const session = sessionOf(open())
  t.match(open(), { ok: false, code: 'LICD_TOO_BUSY', retryAfterMs: 500 })
  const one = { ok: true, data: { data: Buffer.from('one').toString('base64') } }
  t.match(read(session, 0), one)
  t.match(read(session, 0), one, 'its answer was lost')
  t.match(read(session, 2), { code: 'LICD_BAD_REQUEST' })
  t.match(read('another', 1), { code: 'LICD_SNAPSHOT_GONE' })
  t.match(read(undefined, 1), { code: 'LICD_SNAPSHOT_GONE' })
  t.match(read(session, 1), { ok: true })
  t.strictSame(read(session, 2), { ok: true, data: {} }, 'that was all')
  t.strictSame(read(session, 2), { ok: true, data: {} })
  t.equal(ended, 1)

  const idle = sessionOf(open())
  read(idle, 0)
  time.run(20_000)
  t.match(read(idle, 1), { ok: true })
  time.run(31_000)
  t.match(read(idle, 2), { code: 'LICD_SNAPSHOT_GONE' }, 'nobody asked for long')
  t.equal(ended, 2)
  t.not(sessionOf(open()), '')
})

t.test('a server stops when it hears that its pool began anew, and of nothing else', async t => {
  const time = new VirtualTime()
  const broker = new MemoryBroker({ time, random: new SeededRandom(2) })
  const stopped: string[] = []
  const watch = (name: string, fingerprint: string, clusterId: string, epoch: number) => {
    const clock = new VirtualClock(time)
    const watching = new EpochWatch({
      bus: broker.connect(name, clock),
      clock,
      subject: 'licd.v1.p.raft.any.epoch',
      identity: { fingerprint, clusterId, epoch },
      stop: () => {
        stopped.push(name)
        watching.close()
      },
    })
    watching.start()
  }
  watch('old', 'mine', 'first', 1)
  watch('peer', 'mine', 'first', 1)
  watch('stranger', 'theirs', 'other', 9)
  time.run(6_000)
  t.strictSame(stopped, [], 'servers of one beginning, and another pool of that name')
  watch('new', 'mine', 'second', 2)
  time.run(100)
  t.strictSame(stopped.sort(), ['old', 'peer'])
  watch('late', 'mine', 'first', 1)
  time.run(100)
  t.strictSame(stopped.sort(), ['late', 'old', 'peer'], 'it is told at once')
})
