/**
 * A pool of processes, watched: what a test waits for is looked at again after what the pool says (see pool-watch.ts),
 * keepalives among it, in which servers tell each other what is in use.
 */
import { connectNats, systemClock, systemRandom, type NatsBus } from '../raft/index.ts'
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import type { PoolEvent } from '../lib/ctl/pool-events.ts'
import { viewPool } from '../lib/ctl/pool-view.ts'
import { connect, type Client } from '../lib/index.ts'
import type { FeatureStatus, PoolStatus } from '../lib/protocol/ctl.ts'
import { ProcessPool, type PoolOptions } from './pool-processes.ts'
import { PoolWatch } from './pool-watch.ts'

/** What `ctl status --json` prints. */
export interface StatusJson extends PoolStatus {
  readonly answeredBy: string
}

/** One feature's distribution in a form that tests compare. */
export interface Table {
  readonly allocations: number
  readonly free: number
  readonly shares: Readonly<Record<string, number>>
}

export function tableOf(status: Pick<PoolStatus, 'features'>, feature: string): Table {
  const found = featureOf(status, feature)
  return {
    allocations: found.allocations,
    free: found.free,
    shares: Object.fromEntries(found.shares.map(({ server, share }) => [server, share])),
  }
}

export function featureOf(status: Pick<PoolStatus, 'features'>, feature: string): FeatureStatus {
  const found = status.features.find(({ name }) => name === feature)
  if (found === undefined) throw new Error(`no feature ${feature} in ${JSON.stringify(status)}`)
  return found
}

export class WatchedPool implements AsyncDisposable {
  readonly processes: ProcessPool
  /** The test's own connection. */
  readonly bus: NatsBus
  readonly #ctl: CtlClient
  readonly #clients: Client[] = []
  readonly #watch: PoolWatch

  private constructor(processes: ProcessPool, bus: NatsBus) {
    this.processes = processes
    this.bus = bus
    const ports = { bus, clock: systemClock, random: systemRandom }
    this.#ctl = new CtlClient({ ...ports, pool: 'default', by: 'test', timeoutMs: 5_000 })
    this.#watch = new PoolWatch(bus)
  }

  static async start(options: PoolOptions = {}): Promise<WatchedPool> {
    const processes = await ProcessPool.start(options)
    try {
      const bus = await connectNats({ servers: [processes.nats.url], name: 'test' })
      return new WatchedPool(processes, bus)
    } catch (error) {
      await processes[Symbol.asyncDispose]()
      throw error
    }
  }

  get events(): readonly PoolEvent[] {
    return this.#watch.events
  }

  get servers(): readonly string[] {
    return this.processes.servers
  }

  /** A client that lives at the first of `servers` that serves. */
  async client(...servers: readonly string[]): Promise<Client> {
    const client = await connect({ nats: this.processes.nats.url, prefer: servers })
    this.#clients.push(client)
    return client
  }

  /** The state of the pool, live figures merged; asked inside this process, for loops. */
  async look(): Promise<PoolStatus> {
    return (await viewPool(this.#ctl)).status
  }

  /**
   * Resolves with the first state for which `holds`; looks again after all that happens. Rejects with what it saw
   * last.
   */
  until(
    what: string,
    holds: (status: PoolStatus) => boolean | Promise<boolean>,
  ): Promise<PoolStatus> {
    let last: PoolStatus | undefined
    const look = async (): Promise<PoolStatus | undefined> => {
      try {
        last = await this.look()
        return (await holds(last)) ? last : undefined
      } catch {
        // Nobody answers at this moment; the next event may change that.
        return undefined
      }
    }
    return this.#watch.until(what, look, () => JSON.stringify(last?.features))
  }

  /** Resolves with the first event, of the past or to come, that fits. */
  event<T>(what: string, fits: (event: PoolEvent) => T | undefined): Promise<T> {
    return this.#watch.event(what, fits)
  }

  /** `ctl status --json` of every server that runs, in the order of their names. */
  statuses(servers: readonly string[] = this.servers): Promise<StatusJson[]> {
    return Promise.all(servers.map(server => this.processes.ctl<StatusJson>(['status'], server)))
  }

  /**
   * The feature's table, as `ctl --json` prints it at every one of `servers`, as soon as they agree: one may have
   * applied an entry that is on its way to another. Rejects when one of them conserves no allocations (I1).
   */
  tables(feature: string, servers: readonly string[] = this.servers): Promise<Table> {
    let tables: Table[] = []
    const look = async (): Promise<Table | undefined> => {
      tables = (await this.statuses(servers)).map(status => tableOf(status, feature))
      for (const { allocations, free, shares } of tables) {
        const owned = Object.values(shares).reduce((sum, share) => sum + share, free)
        if (owned !== allocations) throw new Error(`I1: ${JSON.stringify(tables)}`)
      }
      const [first, ...others] = tables.map(table => JSON.stringify(table))
      return others.every(other => other === first) ? tables[0] : undefined
    }
    return this.#watch.until(`${feature} the same at all`, look, () => JSON.stringify(tables))
  }

  /** The leader in office. */
  async leader(): Promise<string> {
    const { leader } = await this.until('a leader', status => status.leader !== undefined)
    if (leader === undefined) throw new Error('no leader')
    return leader
  }

  /** Makes `server` the leader. */
  async makeLeader(server: string): Promise<void> {
    if ((await this.leader()) !== server) await this.processes.ctl(['transfer-leader', server])
    await this.until(`${server} leads`, status => status.leader === server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map(client => client.close()))
    this.#ctl.close()
    await this.bus.close()
    await this.processes[Symbol.asyncDispose]()
  }
}
