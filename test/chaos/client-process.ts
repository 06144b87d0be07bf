/**
 * A process of a chaos run that holds many clients of the SDK, each with a connection of its own, and writes down what
 * each believed when (`history.ts`).
 *
 * Residents hold a seat for as long as they can, and take another when it is lost; visitors come and go. Told to
 * settle, visitors leave, and the process says when every resident has been confirmed after that; told to leave, all give
 * their seats back.
 */
import { connect, type Client, type Seat } from '../../lib/index.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { Believer } from './believer.ts'
import { HistoryWriter, now } from './history.ts'

/** Argument of the process, as JSON. */
export interface ClientOrder {
  readonly name: string
  readonly folder: string
  readonly urls: readonly string[]
  readonly prefer: string
  readonly seed: string
  /** Client n wants `features[n % features.length]`. */
  readonly features: readonly string[]
  readonly clients: number
  readonly residents: number
}

export type ClientCommand = { readonly do: 'settle' } | { readonly do: 'leave' }
export type ClientNews =
  | { readonly said: 'connected' }
  /** Milliseconds until the last resident was confirmed; how many there are. */
  | { readonly said: 'settled'; readonly ms: number; readonly residents: number }
  | { readonly said: 'left' }

const order = JSON.parse(process.argv[2] ?? '{}') as ClientOrder
const history = new HistoryWriter(order.folder, order.name)
let phase: 'storm' | 'settle' | 'leave' = 'storm'
const settling = new AbortController()
const leaving = new AbortController()
const believer = new Believer(history)
const clients: Client[] = []

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    if (signal.aborted) done()
    else signal.addEventListener('abort', done)
  })
}

/** Resolves when the seat is over. */
function over(seat: Seat): Promise<void> {
  return new Promise(resolve => {
    if (seat.signal.aborted) resolve()
    else seat.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function reside(client: Client, who: string, feature: string, random: SeededRandom) {
  const { signal } = leaving
  while (!signal.aborted) {
    const seat = await believer.acquire(client, who, { feature, count: 1, timeout: 20_000, signal })
    if (seat === undefined) await pause(200 + 800 * random.next(), signal)
    else {
      await Promise.race([over(seat), pause(2 ** 30, signal)])
      await believer.release(seat)
    }
  }
}

async function visit(client: Client, who: string, feature: string, random: SeededRandom) {
  const { signal } = settling
  while (!signal.aborted) {
    const count = random.chance(0.2) ? random.between(2, 3) : 1
    const timeout = random.chance(0.5) ? 0 : random.between(1_000, 8_000)
    const seat = await believer.acquire(client, who, { feature, count, timeout, signal })
    if (seat !== undefined) {
      await Promise.race([over(seat), pause(500 + 8_000 * random.next() ** 2, signal)])
      await believer.release(seat)
    }
    await pause(400 + 2_600 * random.next(), signal)
  }
}

async function live(n: number): Promise<void> {
  const who = `${order.name}-${n}`
  const random = new SeededRandom(`${order.seed}/${who}`)
  await pause(1_500 * random.next(), settling.signal)
  const { urls, prefer, residents, features } = order
  const options = random.chance(0.5) ? { prefer } : {}
  const client = await connect({ nats: urls, name: who, waitMs: 60_000, ...options })
  clients.push(client)
  const feature = features[n % features.length] ?? ''
  const isResident = n < residents
  lives.push(
    isResident ? reside(client, who, feature, random) : visit(client, who, feature, random),
  )
}

const lives: Promise<void>[] = []

/** Once every resident holds a seat that was confirmed after it was asked to settle. */
async function settle(): Promise<void> {
  phase = 'settle'
  const from = now()
  settling.abort()
  for (;;) {
    const confirmed = believer.confirmations().filter(at => at > from)
    if (confirmed.length === order.residents) break
    await pause(50, leaving.signal)
    if (leaving.signal.aborted) return
  }
  const last = Math.max(from, ...believer.confirmations())
  say({ said: 'settled', ms: last - from, residents: order.residents })
}

async function leave(): Promise<void> {
  phase = 'leave'
  settling.abort()
  leaving.abort()
  await Promise.all(lives)
  await Promise.all(clients.map(client => client.close()))
  say({ said: 'left' })
  history.close()
  process.exit(0)
}

function say(news: ClientNews): void {
  process.send?.(news)
}

process.on('message', (command: ClientCommand) => {
  if (command.do === 'settle' && phase === 'storm') void settle()
  else if (command.do === 'leave' && phase !== 'leave') void leave()
})
// Whoever started it is gone: so is the run.
process.on('disconnect', () => process.exit(1))

await Promise.all(Array.from({ length: order.clients }, (_, n) => live(n)))
say({ said: 'connected' })
