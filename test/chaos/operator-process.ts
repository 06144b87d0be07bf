/**
 * The operators of a chaos run, in a process of their own: they change the pool while it is under fire, each change with an
 * id, and write down what they were told; and they look at all servers all the time.
 *
 * Three of them, at different brokers, take codes from one heap: two may add or remove the same one at once. Of what was
 * acknowledged some is sent again through another server. When all is calm they ask for the outcome of all
 * that nobody had answered.
 */
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { watchPool } from '../../lib/ctl/pool-events.ts'
import { connect, LicdError } from '../../lib/index.ts'
import type { VendorSigner } from '../../lib/code/vendor-key.ts'
import { connectNats, systemClock, systemRandom } from '../../raft/index.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { Believer } from './believer.ts'
import { Changes } from './changes.ts'
import { HistoryWriter, now, type SampleLine } from './history.ts'
import { sampleOf } from './sample.ts'

/** Argument of the process, as JSON. */
export interface OperatorOrder {
  readonly folder: string
  /** One operator each: its addresses, the nearest first. */
  readonly urls: readonly (readonly string[])[]
  readonly servers: readonly string[]
  readonly seed: string
  readonly signer: VendorSigner
  readonly fingerprint: string
  /** Features of the pool's own, and what they begin with. */
  readonly local: Readonly<Record<string, number>>
  /** The one that codes are for. */
  readonly vendored: string
  readonly vendoredStart: number
  readonly rememberedMs: number
}

export type OperatorCommand =
  | { readonly do: 'found' }
  | { readonly do: 'storm' }
  /** No more changes. */
  | { readonly do: 'settle' }
  /** Takes every allocation there is, all at once, then gives all back. */
  | { readonly do: 'fill'; readonly withinMs: number }
  /** The tables of all servers, once they agree; and what became of every change. */
  | { readonly do: 'finish'; readonly withinMs: number }

export type OperatorNews =
  | { readonly said: 'founded' }
  | { readonly said: 'storming' }
  | { readonly said: 'settled' }
  | { readonly said: 'filled'; readonly ms: number; readonly got: number; readonly of: number }
  | { readonly said: 'finished'; readonly finals: readonly SampleLine[] }
  | { readonly said: 'leader'; readonly leader: string }

const sampleEveryMs = 700
const lookMs = 1_500

const order = JSON.parse(process.argv[2] ?? '{}') as OperatorOrder
const history = new HistoryWriter(order.folder, 'operators')
const random = new SeededRandom(`${order.seed}/operators`)
const buses = await Promise.all(
  order.urls.map(servers => connectNats({ servers, name: 'operator', waitMs: 60_000 })),
)
const operators = buses.map(
  (bus, n) =>
    new CtlClient({
      ...{ bus, clock: systemClock, random: systemRandom, pool: 'default' },
      ...{ by: `operator-${n}`, timeoutMs: 8_000 },
    }),
)
const changes = new Changes({ ...order, operators, history, random })
let leader = ''

/** What a server says of its ledger; undefined when it does not answer. */
async function look(server: string, n: number): Promise<SampleLine | undefined> {
  try {
    const ctl = operators[n % operators.length]
    const answer = await ctl?.ask('status', {}, { server, timeoutMs: lookMs })
    return answer && sampleOf(answer.status, server, now())
  } catch {
    return undefined
  }
}

async function lookAtAll(): Promise<SampleLine[]> {
  const looks = await Promise.all(order.servers.map((server, n) => look(server, n)))
  const found = looks.filter(line => line !== undefined)
  for (const line of found) history.write(line)
  const newest = [...found].sort((a, b) => b.term - a.term)[0]?.leader
  if (newest !== undefined && newest !== leader) {
    leader = newest
    say({ said: 'leader', leader })
  }
  return found
}

/** Each look begins when the one before has ended. */
async function watch(): Promise<void> {
  for (;;) {
    await lookAtAll()
    await pause(sampleEveryMs)
  }
}

for (const bus of buses.slice(0, 1)) {
  watchPool(bus, 'default', event => {
    if (event.type !== 'server') return
    const { server, event: what } = event.event
    if (what === 'leader') history.write({ k: 'server', t: now(), server, what: 'leads' })
    if (what === 'lease-lost') history.write({ k: 'server', t: now(), server, what })
  })
}

async function fill(withinMs: number): Promise<void> {
  const believer = new Believer(history)
  const clients = await Promise.all(
    order.urls.map(nats => connect({ nats, name: 'filler', waitMs: 60_000 })),
  )
  const [sample] = await lookAtAll()
  const wanted = (sample?.features ?? []).flatMap(({ name, allocations }) =>
    Array.from({ length: allocations }, () => name),
  )
  const from = now()
  const taken = await Promise.all(
    wanted.map(async (feature, n) => {
      const client = clients[n % clients.length]
      if (client === undefined) return undefined
      for (let left = withinMs; left > 0; left = from + withinMs - now()) {
        const wish = { feature, count: 1, timeout: Math.ceil(left) }
        const seat = await believer.acquire(client, `filler-${n}`, wish)
        if (seat !== undefined) return seat
        await pause(200)
      }
      return undefined
    }),
  )
  const ms = now() - from
  const got = taken.filter(seat => seat?.valid === true).length
  const seats = taken.filter(seat => seat !== undefined)
  await Promise.all(seats.map(seat => believer.release(seat)))
  await Promise.all(clients.map(client => client.close()))
  believer.close()
  say({ said: 'filled', ms, got, of: wanted.length })
}

/** The last looks, once all servers agree on every table; else as they are at the end. */
async function finish(withinMs: number): Promise<void> {
  const end = now() + withinMs
  let finals: SampleLine[] = []
  while (now() < end) {
    finals = await lookAtAll()
    const tables = new Set(finals.map(({ features }) => JSON.stringify(features)))
    if (finals.length === order.servers.length && tables.size === 1) break
    await pause(sampleEveryMs)
  }
  // After that: what the pool does not know now is in none of these tables.
  await changes.settle(true, withinMs)
  say({ said: 'finished', finals })
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => void setTimeout(resolve, ms))
}

function say(news: OperatorNews): void {
  process.send?.(news)
}

async function obey(command: OperatorCommand): Promise<void> {
  switch (command.do) {
    case 'found':
      await changes.found()
      void watch()
      say({ said: 'founded' })
      return
    case 'storm':
      changes.storm()
      say({ said: 'storming' })
      return
    case 'settle':
      await changes.end()
      say({ said: 'settled' })
      return
    case 'fill':
      await fill(command.withinMs)
      return
    case 'finish':
      await finish(command.withinMs)
  }
}

process.on('message', (command: OperatorCommand) => {
  obey(command).catch((error: unknown) => {
    console.error(error instanceof LicdError ? `${error.code} ${error.message}` : error)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit(0))
