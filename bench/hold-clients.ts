/**
 * A child of `hold.ts`: many clients in one process, each with a connection and a few seats of its own, held and
 * renewed until told to stop. Counts what a holder would notice.
 */
import { connect, type Client, type Seat } from '../lib/index.ts'

export interface HoldOrder {
  readonly nats: string
  readonly feature: string
  readonly clients: number
  readonly seatsEach: number
}

export interface HoldReport {
  readonly seats: number
  readonly renewals: number
  readonly lost: number
  /** Looks, 20 a second at every seat, that found one invalid. */
  readonly invalidLooks: number
  /** Acquires that failed, by code. */
  readonly errors: Readonly<Record<string, number>>
  readonly cpuSeconds: number
  readonly rssMiB: number
}

const connectAtOnce = 25
const counts = { renewals: 0, lost: 0, invalidLooks: 0 }
const errors: Record<string, number> = {}
const clients: Client[] = []
const seats: Seat[] = []

process.on('message', (message: HoldOrder | 'stop') => {
  if (message === 'stop') void stop()
  else void hold(message)
})

async function hold({ nats, feature, clients: count, seatsEach }: HoldOrder): Promise<void> {
  for (let made = 0; made < count; made += connectAtOnce) {
    const batch = Math.min(connectAtOnce, count - made)
    await Promise.all(Array.from({ length: batch }, () => join(nats, feature, seatsEach)))
  }
  setInterval(() => {
    for (const seat of seats) if (!seat.valid) counts.invalidLooks++
  }, 50)
  process.send?.('ready')
}

async function join(nats: string, feature: string, seatsEach: number): Promise<void> {
  try {
    const client = await connect({ nats, waitMs: 30_000 })
    clients.push(client)
    const wanted = Array.from({ length: seatsEach }, () =>
      client.acquire(feature, { timeout: 60_000 }),
    )
    for (const seat of await Promise.all(wanted)) {
      seat.on('renewed', () => counts.renewals++)
      seat.on('lost', () => counts.lost++)
      seats.push(seat)
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    errors[code] = (errors[code] ?? 0) + 1
  }
}

async function stop(): Promise<void> {
  const { user, system } = process.cpuUsage()
  const report: HoldReport = {
    seats: seats.filter(({ valid }) => valid).length,
    ...counts,
    errors,
    cpuSeconds: (user + system) / 1e6,
    rssMiB: process.memoryUsage.rss() / 2 ** 20,
  }
  await Promise.all(clients.map(client => client.close()))
  process.send?.(report, () => process.exit(0))
}
