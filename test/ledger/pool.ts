/** A pool of servers reduced to its ledger: what tests of the ledger say commands with. */
import { strict as assert } from 'node:assert'
import type {
  CodeContent,
  Command,
  CommandBody,
  Listing,
  Result,
  SeatProof,
  Settings,
  VendorKey,
} from '../../lib/ledger/command.ts'
import { levelMax } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import type { Applied } from '../../lib/ledger/ledger.ts'
import type { Judge } from '../../lib/ledger/outcome.ts'
import type { Feature, ServerRecord } from '../../lib/ledger/state.ts'

export const epoch = 1_700_000_000_000

export const vendor = { kid: 'kid-acme', name: 'acme', publicKey: 'x'.repeat(43) }

export function content(change: Partial<CodeContent> = {}): CodeContent {
  return {
    codeId: 'code-1',
    kid: vendor.kid,
    vendor: vendor.name,
    customer: 'customer',
    feature: 'cad',
    kind: 'feature',
    allocations: 30,
    startsAt: epoch - 1_000,
    issuedAt: epoch - 1_000,
    ...change,
  }
}

export class Pool {
  ledger: Ledger
  index = 0
  #ids = 0
  readonly #numbers = new Map<string, number>()

  constructor(
    options: {
      servers?: readonly string[]
      settings?: Partial<Settings>
      /** By which rules it goes; the newest when absent. */
      level?: number
      judge?: Judge
      /** Results that its ledger remembers at most. */
      results?: number
      vendors?: readonly VendorKey[]
      /** Every server says hello and the first tick lists them. Default true. */
      started?: boolean
    } = {},
  ) {
    this.ledger = new Ledger(options.judge, options.results)
    const servers = options.servers ?? ['a', 'b', 'c']
    const settings = { tickMs: 1_000, leaseTicks: 10, seatTicks: 5, ...options.settings }
    const genesis: CommandBody = {
      type: 'genesis',
      pool: 'test',
      fingerprint: 'print',
      settings,
      servers,
      vendors: options.vendors ?? [vendor],
      wallMs: epoch,
      ...(options.level === 1 ? {} : { level: options.level ?? levelMax }),
    }
    this.raw({ id: '', deadline: 0, by: 'init', body: genesis })
    if (options.started === false) return
    for (const server of servers) this.run({ type: 'hello', server, bootId: `boot-${server}-1` })
    this.tick()
  }

  get tickNow(): number {
    return this.ledger.state.tick
  }

  raw(command: Command): Applied {
    this.index += 1
    const applied = this.ledger.apply(command, this.index)
    // A record that changed without notice shows here: the hash follows changes, a restored one reads rows.
    assert.equal(this.ledger.hash(), Ledger.restore(this.ledger.snapshot()).hash())
    return applied
  }

  /** Applies a command with a fresh id and a deadline two ticks ahead. */
  run(body: CommandBody): Result {
    return this.do(body).result
  }

  do(body: CommandBody): Applied {
    this.#ids += 1
    return this.raw({ id: `c${String(this.#ids)}`, deadline: this.tickNow + 2, by: 'test', body })
  }

  /** One tick that lists the servers named, by default all that run; `wall` in milliseconds after the epoch. */
  tick(servers?: readonly string[], walls: Readonly<Record<string, number>> = {}): Applied {
    const records = [...this.ledger.state.servers.values()]
    const named = servers ?? records.map(({ name }) => name)
    return this.tickWith(named.map(name => this.listing(name, { wallMs: walls[name] ?? epoch })))
  }

  tickWith(listings: readonly Listing[]): Applied {
    const body = { type: 'tick', tick: this.tickNow + 1, listings } as const
    return this.raw({ id: '', deadline: 0, by: 'server:a', body })
  }

  ticks(count: number, servers?: readonly string[]): void {
    for (let n = 0; n < count; n++) this.tick(servers)
  }

  listing(server: string, change: Partial<Listing> = {}): Listing {
    const { incarnation } = this.server(server)
    const key = `${server} ${String(incarnation)}`
    const number = (this.#numbers.get(key) ?? 0) + 1
    this.#numbers.set(key, number)
    return { server, incarnation, number, wallMs: epoch, usage: [], ...change }
  }

  server(name: string): ServerRecord {
    const record = this.ledger.state.servers.get(name)
    assert(record)
    return record
  }

  feature(name = 'cad'): Feature {
    const feature = this.ledger.state.features.get(name)
    assert(feature)
    return feature
  }

  /** Free pool, owed where there is, and the shares: `free 3 owed 1 a 10 b 2`. */
  table(name = 'cad'): string {
    const { free, owed, shares } = this.feature(name)
    const rows = [...shares].sort().map(([server, share]) => `${server} ${String(share)}`)
    return [`free ${String(free)}`, ...(owed > 0 ? [`owed ${String(owed)}`] : []), ...rows].join(
      ' ',
    )
  }

  queue(name = 'cad'): string {
    return this.feature(name)
      .demand.map(({ server, count }) => `${server} ${String(count)}`)
      .join(' ')
  }

  borrow(to: string, change: Partial<Extract<CommandBody, { type: 'borrow' }>> = {}): Result {
    return this.run({
      type: 'borrow',
      feature: 'cad',
      to,
      incarnation: this.ledger.state.servers.get(to)?.incarnation ?? 1,
      needed: 1,
      wanted: 1,
      cause: 'request',
      queue: 0,
      ...change,
    })
  }

  give(
    type: 'return' | 'demand',
    server: string,
    count: number,
    incarnation = this.server(server).incarnation,
  ): Result {
    return this.run({ type, feature: 'cad', server, incarnation, count })
  }

  lend(server: string, to: string, count: number): Result {
    return this.run({
      type: 'lend',
      feature: 'cad',
      server,
      incarnation: this.server(server).incarnation,
      count,
      to,
      toIncarnation: this.server(to).incarnation,
    })
  }

  offer(server: string, count: number) {
    return { server, incarnation: this.server(server).incarnation, count }
  }

  /** A token of the server made now. */
  proof(server: string, change: Partial<SeatProof> = {}): SeatProof {
    const { settings, tick } = this.ledger.state
    return {
      seatId: 'seat-1',
      feature: 'cad',
      server,
      incarnation: this.server(server).incarnation,
      seatTick: tick,
      lastTick: tick + settings.seatTicks,
      ...change,
    }
  }

  /** The pool's own feature `cad`, every allocation dealt out as named. */
  deal(shares: Readonly<Record<string, number>>, free = 0): this {
    const allocations = Object.values(shares).reduce((sum, share) => sum + share, free)
    this.run({ type: 'add-feature', feature: 'cad', allocations })
    this.run({ type: 'change-criteria', feature: 'cad', targets: shares })
    this.tick()
    this.run({ type: 'change-criteria', feature: 'cad', targets: {} })
    return this
  }
}

/** The refusal's code, or `ok`. */
export function codeOf(result: Result): string {
  return result.ok ? 'ok' : result.code
}

/** What a borrow took: `free 2, down b 1`. */
export function takenOf(result: Result): string {
  if (!('taken' in result)) return codeOf(result)
  return result.taken
    .map(({ source, server, count }) =>
      [source, server, count].filter(x => x !== undefined).join(' '),
    )
    .join(', ')
}
