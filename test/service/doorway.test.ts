import t from 'tap'
import type { Bus, BusMessage, SubscribeOptions } from '../../raft/ports.ts'
import type { SeatServiceCounts } from '../../lib/server/parts.ts'
import { Doorway } from '../../lib/service/doorway.ts'
import { poolSubjects } from './names.ts'

type Handle = (message: BusMessage) => void

/** A link that hands messages over one after another, in one turn, as a read of a socket does. */
function link() {
  const listeners = new Map<string, { handle: Handle; admit: SubscribeOptions['admit'] }>()
  const deferred: (() => void)[] = []
  const logged: { readonly level: string; readonly fields: unknown }[] = []
  const log = (level: string) => (event: string, fields?: object) => {
    logged.push({ level, fields: { event, ...fields } })
  }
  const clientBus: Pick<Bus, 'subscribe'> = {
    subscribe(subject, handle, { admit } = {}) {
      listeners.set(subject, { handle, admit })
      return { unsubscribe: () => void listeners.delete(subject) }
    },
  }
  const time = { now: 0 }
  const clock = { now: () => time.now, defer: (run: () => void) => void deferred.push(run) }
  const counts: SeatServiceCounts = {
    ...{ malformed: 0, replyless: 0, crowdedOut: 0 },
    messages: { find: 0, acquire: 0, renew: 0, release: 0, prove: 0 },
  }
  const door = new Doorway(
    {
      ...{ clientBus, clock, server: 'a', subjects: poolSubjects },
      random: { next: () => 0.5, id: () => 'id' },
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    },
    counts,
  )
  return {
    ...{ door, counts, logged, listeners, deferred, time },
    send: (reply: string, type?: string): void => {
      const listener = listeners.get(poolSubjects.seat('a', 'acquire'))
      const data = new Uint8Array(100)
      if (listener?.admit?.(new TextEncoder().encode(reply), data.length) === false) return
      const header = (): string | undefined => type
      listener?.handle({ subject: 's', data, reply, noResponders: false, header })
    },
    /** The turn is over, and another. */
    turn: (): void => {
      for (const run of deferred.splice(0)) run()
    },
  }
}

t.test('behind the flood of one, another is served in the same turn', async t => {
  const { door, counts, logged, send, turn } = link()
  const served: string[] = []
  const told: string[] = []
  const note = (to: string[]) => (message: BusMessage) => void to.push(message.reply ?? '')
  door.listen('acquire', note(served), note(told))
  for (let n = 0; n < 100_000; n++) send(`_INBOX.flood.${n}`)
  send('_INBOX.other.1')
  turn()
  t.ok(served.includes('_INBOX.other.1'))
  t.equal(served.length, 34, 'and of the flood what was taken at once, and one')
  t.equal(told.length, 1)
  t.equal(counts.messages.acquire, served.length)
  t.equal(counts.crowdedOut, 100_000 - 32 - 8_192)
  for (let n = 0; n < 1_000; n++) turn()
  t.equal(counts.messages.acquire + counts.crowdedOut, 100_001, 'none is lost untold')
  t.match(
    logged,
    [{ level: 'warn', fields: { event: 'client-crowded-out', reply: /^_INBOX\.flood\./ } }],
    'the log says so once',
  )
})

t.test('behind messages that take long, another waits for a few of them', async t => {
  const { door, send, turn, time } = link()
  const served: string[] = []
  door.listen('acquire', ({ reply = '' }) => {
    served.push(reply)
    if (reply.startsWith('_INBOX.heavy')) time.now += 40
  })
  for (let n = 0; n < 400; n++) send(`_INBOX.heavy.${n}`)
  send('_INBOX.other.1')
  t.equal(served.length, 1, 'the turn is long enough')
  for (let n = 0; n < 3; n++) turn()
  t.ok(served.includes('_INBOX.other.1'))
  t.ok(served.indexOf('_INBOX.other.1') <= 2, 'it waited for two')
  for (let n = 0; n < 1_000; n++) turn()
  t.equal(served.length, 401, 'none is lost')
})

t.test('a server that keeps up does nothing but count the turn', async t => {
  const { door, deferred, send, turn, listeners } = link()
  const types: (string | undefined)[] = []
  const subscriptions = door.listen('acquire', message => {
    types.push(message.header('Content-Type'))
  })
  for (let n = 0; n < 40; n++) send('_INBOX.one.1', 'application/json')
  t.equal(types.length, 32)
  t.equal(deferred.length, 1)
  turn()
  t.strictSame(types, Array(40).fill('application/json'), 'what had to wait is the same message')
  turn()
  t.equal(deferred.length, 0)
  for (const subscription of subscriptions) subscription.unsubscribe()
  t.equal(listeners.size, 0)
})

t.test('one that fails costs the others nothing', async t => {
  const { door, send, turn, logged } = link()
  let served = 0
  door.listen('acquire', () => {
    // What the link hands over at once it guards itself.
    if (++served === 33) throw new Error('a defect')
  })
  for (let n = 0; n < 40; n++) send('_INBOX.one.1')
  turn()
  t.equal(served, 40)
  t.match(logged, [{ level: 'error', fields: { event: 'request-threw', error: /a defect/ } }])
})

t.test('what waits when the server goes down is served by none', async t => {
  const { door, send, turn } = link()
  let served = 0
  door.listen('acquire', () => void served++)
  for (let n = 0; n < 40; n++) send('_INBOX.one.1')
  door.close()
  turn()
  t.equal(served, 32)
})
