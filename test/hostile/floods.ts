/**
 * Floods of one client against a real server, and what another client sees of it meanwhile.
 *
 * Measured from outside: the server's memory as the system counts it, answers as they come, the times that the other
 * client's own requests took. The server's process must be the same afterwards, and grant.
 */
import { readFileSync } from 'node:fs'
import { connect } from '../../lib/index.ts'
import { encodeAcquire, encodeRelease, encodeRenew } from '../../lib/protocol/seat-codec.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import type { ProcessPool } from '../pool-processes.ts'
import { Flooder, type Shot } from './flooder.ts'

export interface Row {
  readonly flood: string
  readonly sent: number
  readonly seconds: number
  readonly answers: number
  /** The other client: acquires and releases that were answered meanwhile, and the slowest, milliseconds. */
  readonly others: number
  readonly slowestMs: number
  /** Of the server, MiB: before, and the most it ever had. */
  readonly before: number
  readonly most: number
}

const names = subjects('default')
const server = 'alpha'
const token = new Uint8Array(90).fill(7)
const text = (data: string): Uint8Array => new TextEncoder().encode(data)
const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)

/** Bytes that are no message: none, noise, cut off, deep, an extension, another version, JSON without its header. */
function garbage(): readonly Uint8Array[] {
  const random = new SeededRandom('garbage')
  const noise = Uint8Array.from({ length: 200 }, () => random.between(0, 255))
  const whole = copy(encodeAcquire(1, 'c', [item('r', 'cad')]))
  return [
    new Uint8Array(0),
    noise,
    whole.subarray(0, whole.length - 3),
    new Uint8Array(2_000).fill(0x91),
    Uint8Array.from([0x94, 1, 1, 0xa1, 0x63, 0x91, 0xd4, 0x65, 0, 0x92, 0xa0, 0xa0]),
    Uint8Array.from([0x94, 99, 1, 0xa1, 0x63, 0x90]),
    text('{"feature":"cad"}'),
    text('[['.repeat(500)),
  ]
}

function item(requestId: string, feature: string, waitMs = 0) {
  return { requestId, feature, count: 1, user: 'u', host: 'h', waitMs }
}

/** What is sent, by the name of the flood. */
export const floods: Readonly<Record<string, () => Shot>> = {
  'malformed messages': () => {
    const all = garbage()
    const operations = ['acquire', 'renew', 'release', 'find'] as const
    return n => ({
      subject: names.seat(server, operations[n % 4] ?? 'find'),
      data: all[n % all.length] ?? new Uint8Array(0),
    })
  },
  'acquires as by that many clients': () => n => ({
    subject: names.seat(server, 'acquire'),
    data: copy(encodeAcquire(n, `client-${n}`, [item(`r${n}`, 'full', 3_600_000)])),
  }),
  'waiting requests of one client': () => n => ({
    subject: names.seat(server, 'acquire'),
    data: copy(encodeAcquire(n, 'one', [item(`one${n}`, 'full', 3_600_000)])),
  }),
  'forged renewals': () => n => ({
    subject: names.seat(server, 'renew'),
    data: copy(
      encodeRenew(n, `client-${n}`, [
        { seatId: `r${n}`, feature: 'cad', token, user: `u${n}`, host: 'h', failover: n % 2 === 0 },
      ]),
    ),
  }),
  'withdrawals of what never was': () => n => ({
    subject: names.seat(server, 'release'),
    data: copy(encodeRelease(n, 'c', [{ seatId: `r${n}`, token: new Uint8Array(0) }])),
  }),
}

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`${field}:\\s+(\\d+)`))
  return Math.round(Number(line?.[1] ?? 0) / 1024)
}

/**
 * One flood. Resolves when the server has answered what another client asked after it: requests are taken in their
 * order, so it is through.
 */
export async function flood(pool: ProcessPool, name: string, count: number): Promise<Row> {
  const make = floods[name]
  if (make === undefined) throw new Error(`The floods are: ${Object.keys(floods).join(', ')}`)
  const pid = pool.pid(server)
  const before = memoryOf(pid, 'VmRSS')
  await using other = await connect({ nats: pool.nats.url })
  const flooder = await Flooder.open(pool.nats.url)
  const start = performance.now()
  let others = 0
  let slowestMs = 0
  let isOver = false
  const ask = async (): Promise<void> => {
    const asked = performance.now()
    const seat = await other.acquire('cad', { timeout: 240_000 })
    await seat.release()
    slowestMs = Math.max(slowestMs, performance.now() - asked)
    others++
  }
  const client = (async () => {
    while (!isOver) await ask()
  })()
  const fired = await flooder.fire(count, make())
  isOver = true
  await client
  await ask()
  const seconds = (performance.now() - start) / 1000
  flooder.close()
  return {
    ...{ flood: name, sent: fired.sent, seconds, answers: flooder.answers, others, slowestMs },
    ...{ before, most: memoryOf(pid, 'VmHWM') },
  }
}

export function asLine(row: Row): string {
  const { flood: name, sent, seconds, answers, others, slowestMs, before, most } = row
  const figure = (n: number): string => Math.round(n).toLocaleString('en')
  const memory = `${before} -> ${most}`
  const asked = `${figure(others)}, slowest ${figure(slowestMs)} ms`
  return `| ${name} | ${figure(sent)} | ${figure(seconds)} | ${figure(answers)} | ${asked} | ${memory} |`
}
