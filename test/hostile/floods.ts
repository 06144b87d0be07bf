/**
 * Floods of one client against a real server, and what another client sees of it meanwhile.
 *
 * Measured from outside: the server's memory as the system counts it, answers as they come, the times that the other
 * client's own requests took. The server's process must be the same afterwards, and grant.
 */
import { readFileSync } from 'node:fs'
import { watchPool } from '../../lib/ctl/pool-events.ts'
import { connect } from '../../lib/index.ts'
import { encodeAcquire, encodeRelease, encodeRenew } from '../../lib/protocol/seat-codec.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { connectNats, type NatsBus } from '../../raft/index.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import type { ProcessPool } from '../pool-processes.ts'
import { Flooder, type Extent, type Shot } from './flooder.ts'

export interface Row {
  readonly flood: string
  readonly sent: number
  readonly seconds: number
  readonly answers: number
  /** The other client: how long each of its acquires with the release took meanwhile, milliseconds, sorted; one at least. */
  readonly others: readonly number[]
  /** Of the flooded server that had most, MiB: before, and the most it ever had. */
  readonly before: number
  readonly most: number
  /** Meanwhile: terms of Raft that began, and leases that servers lost. */
  readonly elections: number
  readonly leasesLost: number
  /** How often a flooded server, behind with what NATS had for it, or NATS itself, gave a connection up. */
  readonly linksLost: number
}

const names = subjects('default')
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

/** Which server gets the message of a number. */
type At = (n: number) => string

/** What is sent, by the name of the flood. */
export const floods: Readonly<Record<string, (at: At) => Shot>> = {
  'malformed messages': at => {
    const all = garbage()
    const operations = ['acquire', 'renew', 'release', 'find'] as const
    return n => ({
      subject: names.seat(at(n), operations[n % 4] ?? 'find'),
      data: all[n % all.length] ?? new Uint8Array(0),
    })
  },
  'acquires as by that many clients': at => n => ({
    subject: names.seat(at(n), 'acquire'),
    data: copy(encodeAcquire(n, `client-${n}`, [item(`r${n}`, 'full', 3_600_000)])),
  }),
  'waiting requests of one client': at => n => ({
    subject: names.seat(at(n), 'acquire'),
    data: copy(encodeAcquire(n, 'one', [item(`one${n}`, 'full', 3_600_000)])),
  }),
  'forged renewals': at => n => ({
    subject: names.seat(at(n), 'renew'),
    data: copy(
      encodeRenew(n, `client-${n}`, [
        { seatId: `r${n}`, feature: 'cad', token, user: `u${n}`, host: 'h', failover: n % 2 === 0 },
      ]),
    ),
  }),
  'withdrawals of what never was': at => n => ({
    subject: names.seat(at(n), 'release'),
    data: copy(encodeRelease(n, 'c', [{ seatId: `r${n}`, token: new Uint8Array(0) }])),
  }),
}

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`${field}:\\s+(\\d+)`))
  return Math.round(Number(line?.[1] ?? 0) / 1024)
}

/**
 * One flood, at one server or at many. Resolves when another client, which asked all the while, has been answered what
 * it asked after it: requests are taken in their order, so the server that it lives at is through.
 */
export async function flood(
  pool: ProcessPool,
  name: string,
  of: {
    readonly extent: Extent
    readonly servers: readonly string[]
    /** Connections that flood; 1 when absent. */
    readonly flooders?: number
  },
): Promise<Row> {
  const { extent, servers } = of
  const make = floods[name]
  if (make === undefined) throw new Error(`The floods are: ${Object.keys(floods).join(', ')}`)
  const memory = (field: 'VmRSS' | 'VmHWM'): number =>
    Math.max(...servers.map(server => memoryOf(pool.pid(server), field)))
  const downs = (): number =>
    servers.reduce((sum, server) => sum + pool.output(server).split('"link":"down"').length - 1, 0)
  const before = memory('VmRSS')
  const downsBefore = downs()
  await using watch = await Watch.start(pool.nats.url)
  await using other = await connect({ nats: pool.nats.url })
  const flooders = await Promise.all(
    Array.from({ length: of.flooders ?? 1 }, () => Flooder.open(pool.nats.url)),
  )
  const { term } = await pool.ctl<{ readonly term: number }>(['status'])
  const start = performance.now()
  const others: number[] = []
  let isOver = false
  const ask = async (): Promise<void> => {
    const asked = performance.now()
    const seat = await other.acquire('cad', { timeout: 240_000 })
    await seat.release()
    others.push(performance.now() - asked)
  }
  const client = (async () => {
    while (!isOver) await ask()
  })()
  // As many of each kind of message go to each server.
  const at: At = n => servers[Math.floor(n / 32) % servers.length] ?? 'none'
  const fired = await Promise.all(flooders.map(flooder => flooder.fire(extent, make(at))))
  isOver = true
  await client
  await ask()
  const seconds = (performance.now() - start) / 1000
  for (const flooder of flooders) flooder.close()
  const after = await pool.ctl<{ readonly term: number }>(['status'])
  const total = (of: readonly number[]): number => of.reduce((sum, n) => sum + n, 0)
  return {
    ...{ flood: name, seconds, before, most: memory('VmHWM') },
    others: others.sort((a, b) => a - b),
    sent: total(fired.map(({ sent }) => sent)),
    answers: total(flooders.map(({ answers }) => answers)),
    elections: after.term - term,
    leasesLost: watch.leasesLost,
    linksLost: downs() - downsBefore,
  }
}

/** What the pool tells of leases from now on. */
class Watch implements AsyncDisposable {
  leasesLost = 0
  readonly #bus: NatsBus

  private constructor(bus: NatsBus) {
    this.#bus = bus
    watchPool(bus, 'default', news => {
      if (news.type === 'server' && news.event.event === 'lease-lost') this.leasesLost++
    })
  }

  static async start(url: string): Promise<Watch> {
    return new Watch(await connectNats({ servers: [url], name: 'watch' }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus.close()
  }
}

export function asLine(row: Row): string {
  const { flood: name, sent, seconds, answers, others, before, most } = row
  const { elections, leasesLost, linksLost } = row
  const figure = (n: number): string => Math.round(n).toLocaleString('en')
  const memory = `${before} -> ${most}`
  const at = (share: number): string =>
    figure(others[Math.max(0, Math.ceil(share * others.length) - 1)] ?? 0)
  const asked = `${figure(others.length)}: ${at(0.5)}, ${at(0.99)}, ${at(1)} ms`
  const consensus = `${elections}, ${leasesLost}, ${linksLost}`
  return `| ${name} | ${figure(sent)} | ${figure(seconds)} | ${figure(answers)} | ${asked} | ${memory} | ${consensus} |`
}
