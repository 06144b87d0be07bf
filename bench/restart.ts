/**
 * All three servers stopped cleanly and started again, with many seats held: when each serves, when the first seat is
 * granted, and what became of the seats held, for as long as any token made before could last.
 *
 * `npm run bench:restart -- [seats] [seconds watched]`. Prints what happened when, from the start of the servers.
 */
import { connect, type Client, type Seat } from '../lib/index.ts'
import { readCommandLine, readNumber } from '../test/command-line.ts'
import { ProcessPool, ready } from '../test/pool-processes.ts'
import { addFeatures } from './contenders/licd.ts'
import { used } from './machine.ts'

const usage = `npm run bench:restart -- [SEATS] [SECONDS]
  SEATS     held while the servers stop and start (100000)
  SECONDS   that they are watched for afterwards (30)`
const { positionals } = readCommandLine(usage, {}, 2)
const total = readNumber(usage, positionals[0], 100_000)
const watchSeconds = readNumber(usage, positionals[1], 30)
const atOnce = Math.min(1_000, total)
const patienceMs = 60_000

let zero = performance.now()
function say(text: string): void {
  const at = ((performance.now() - zero) / 1000).toFixed(2).padStart(7)
  console.log(`${at} s  ${text}`)
}

await using pool = await ProcessPool.start({ tickMs: 1_000, leaseTicks: 30, seatTicks: 20 })
await addFeatures(pool.nats.url, ['one', 'held'], 3_000_000)
const events = { lost: 0, moved: 0, renewed: 0 }
const reasons: Record<string, number> = {}
const nats = pool.nats.url
const clients = await Promise.all(pool.servers.map(server => connect({ nats, prefer: server })))
const seats: Seat[] = []
for (let n = 0; n < total / atOnce; n++) seats.push(await hold(clients, n))
say(`${total} seats held`)
look()
zero = performance.now()
await Promise.all(pool.servers.map(name => pool.kill(name, 'SIGTERM')))
say('stopped')
zero = performance.now()
for (const name of pool.servers) void pool.startUntil(name, ready).then(() => say(`${name} ready`))
const client = await connect({ nats, waitMs: patienceMs })
await client.acquire('one', { timeout: patienceMs })
say('first grant')
await client.close()
look()
for (let n = 0; n < watchSeconds; n += 5) {
  await new Promise(resolve => setTimeout(resolve, 5_000))
  look()
}
console.log(reasons)
await Promise.all(clients.map(one => one.close()))

function look(): void {
  const valid = seats.filter(seat => seat.valid).reduce((sum, seat) => sum + seat.count, 0)
  const { renewed, moved, lost } = events
  const cpu = (pid: number) => used({ name: '', pid }).cpuSeconds.toFixed(1)
  const servers = pool.servers.map(name => cpu(pool.pid(name))).join(' ')
  say(
    `${valid} seats valid; acquires: ${renewed} renewed, ${moved} moved, ${lost} lost; ` +
      `CPU s: client ${cpu(process.pid)}, servers ${servers}`,
  )
}

async function hold(clients: readonly Client[], n: number): Promise<Seat> {
  const client = clients[n % clients.length]
  if (client === undefined) throw new Error('no client')
  const seat = await client.acquire('held', { count: atOnce, timeout: patienceMs })
  seat.on('lost', error => {
    events.lost++
    reasons[error.message] = (reasons[error.message] ?? 0) + 1
  })
  seat.on('moved', () => events.moved++)
  seat.on('renewed', () => events.renewed++)
  return seat
}
