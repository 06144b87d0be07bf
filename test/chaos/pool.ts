/**
 * The pool of a chaos run, with all that lives on it: network, hosts, processes of clients, the operators.
 *
 * Whatever becomes of the run, the janitor does away with what was started (`janitor.ts`).
 */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { problemOf, type Kind } from '../../bench/disk-mount.ts'
import { readVendorSigner, writeVendorKey, type VendorSigner } from '../../lib/code/vendor-key.ts'
import { licd } from '../cmd/licd-process.ts'
import { ClientProcess } from './client-pool.ts'
import { HistoryWriter } from './history.ts'
import { getFaketime } from './faketime.ts'
import { Host, type Means } from './host.ts'
import type { Janitor } from './janitor.ts'
import { makeNetwork } from './make-network.ts'
import type { Layout, Network, NetworkKind } from './network.ts'
import type { OperatorCommand, OperatorNews, OperatorOrder } from './operator-process.ts'
import { Process } from './process.ts'

export interface PoolOptions {
  readonly servers: number
  readonly clientProcesses: number
  readonly clientsEach: number
  readonly seed: string
  readonly network: NetworkKind | undefined
  /** Folder of the build whose `licd` runs. */
  readonly build: string
  /** Clients crowd on this feature, more of them than there are allocations. */
  readonly local: Readonly<Record<string, number>>
  readonly vendored: string
  readonly vendoredStart: number
  /** Weighted by repetition: client n wants `wanted[n % wanted.length]`. */
  readonly wanted: readonly string[]
  readonly residentsEach: number
  readonly onClientsEnd: (name: string, output: string) => void
}

export const settings = { tickMs: 400, leaseTicks: 12, seatTicks: 10 } as const
export const leaseMs = settings.tickMs * settings.leaseTicks
/** Less than the 600 ticks that an id is remembered after its deadline (R8). */
const rememberedMs = 500 * settings.tickMs
const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon']
const brokersMax = 3

export class ChaosPool {
  readonly folder: string
  /** Where all processes write what they did. */
  readonly historyFolder: string
  readonly history: HistoryWriter
  readonly network: Network
  readonly means: Means
  readonly hosts: readonly Host[]
  readonly clients: readonly ClientProcess[]
  /** Where they are. */
  readonly sites: readonly string[]
  readonly operators: Process
  /** What this machine cannot, line by line. */
  readonly notes: readonly string[]
  leader: string | undefined

  private constructor(parts: {
    folder: string
    history: HistoryWriter
    network: Network
    means: Means
    hosts: readonly Host[]
    clients: readonly ClientProcess[]
    sites: readonly string[]
    operators: Process
    notes: readonly string[]
  }) {
    this.folder = parts.folder
    this.historyFolder = historyOf(parts.folder)
    this.history = parts.history
    this.network = parts.network
    this.means = parts.means
    this.hosts = parts.hosts
    this.clients = parts.clients
    this.sites = parts.sites
    this.operators = parts.operators
    this.notes = parts.notes
    this.operators.onMessage(message => {
      const news = message as OperatorNews
      if (news.said === 'leader') this.leader = news.leader
    })
  }

  /** Starts everything but the clients; resolves when every server is ready and the features are there. */
  static async start(options: PoolOptions, janitor: Janitor): Promise<ChaosPool> {
    const folder = mkdtempSync(join(tmpdir(), 'licd-chaos-'))
    janitor.add({ type: 'remove', path: folder })
    mkdirSync(historyOf(folder))
    const history = new HistoryWriter(historyOf(folder), 'nemesis')
    const hostNames = names.slice(0, options.servers)
    const sites = Array.from({ length: options.clientProcesses }, (_, n) => `site-${n + 1}`)
    const brokers = hostNames.slice(0, brokersMax)
    const layout: Layout = { hosts: hostNames, brokers, sites: [...sites, 'office'] }
    const { network, why } = await makeNetwork(layout, janitor, options.network)
    const { means, notes } = meansOf(folder)
    if (why !== undefined) notes.unshift(`network: proxies instead of namespaces: ${why}`)
    const { signer, fingerprint } = await initPool(folder, hostNames)
    const shared = { folder, network, janitor, history, means, build: options.build }
    const hosts = hostNames.map(
      name => new Host({ name, hasBroker: brokers.includes(name), ...shared }),
    )
    const brokersOf = hosts.map(({ broker }) => broker).filter(broker => broker !== undefined)
    await Promise.all(brokersOf.map(broker => broker.up()))
    const ready = await Promise.all(hosts.map(({ server }) => server.up()))
    for (const [n, host] of hosts.entries()) {
      if (ready[n] !== true) throw new Error(`${host.name} does not start: ${host.server.output()}`)
    }
    const operators = startOperators(options, {
      folder,
      network,
      janitor,
      brokers,
      signer,
      fingerprint,
      servers: hostNames,
    })
    const clients = sites.map((site, n) => {
      const near = brokers[n % brokers.length] ?? ''
      return clientsAt(site, near, { options, folder, network, janitor })
    })
    const pool = new ChaosPool({
      folder,
      history,
      network,
      means,
      hosts,
      clients,
      sites,
      operators,
      notes,
    })
    await pool.command({ do: 'found' }, 'founded', 60_000)
    return pool
  }

  /** Tells the operators; rejects when they do not answer in time. */
  async command<Said extends OperatorNews['said']>(
    command: OperatorCommand,
    said: Said,
    withinMs: number,
  ): Promise<Extract<OperatorNews, { said: Said }>> {
    const isAnswer = (news: OperatorNews): news is Extract<OperatorNews, { said: Said }> =>
      news.said === said
    const news = await this.operators.tell<OperatorNews>(command, isAnswer, withinMs)
    if (news !== undefined && isAnswer(news)) return news
    throw new Error(`operators: no answer to "${command.do}": ${this.operators.output()}`)
  }

  /** Ends servers and brokers; the janitor ends what is left. */
  async stop(): Promise<void> {
    this.operators.signal('SIGKILL')
    await Promise.all(this.hosts.map(({ server }) => server.down('SIGTERM')))
    for (const { broker } of this.hosts) await broker?.down('SIGKILL')
    for (const host of this.hosts) host.close()
    await this.network.close()
    this.history.close()
  }
}

function historyOf(folder: string): string {
  return join(folder, 'history')
}

async function initPool(
  folder: string,
  servers: readonly string[],
): Promise<{ signer: VendorSigner; fingerprint: string }> {
  const { privateFile, publicFile } = await writeVendorKey('Chaos', { folder, stem: 'chaos' })
  const { tickMs, leaseTicks, seatTicks } = settings
  const ran = await licd([
    ...['init', 'default', '--servers', servers.join(','), '--out', folder, '--json'],
    ...['--tick-ms', String(tickMs), '--lease-ticks', String(leaseTicks)],
    ...['--seat-ticks', String(seatTicks), '--vendor', publicFile],
  ])
  if (ran.code !== 0) throw new Error(`init: ${ran.stderr}`)
  const { fingerprint } = JSON.parse(ran.stdout) as { fingerprint: string }
  return { signer: await readVendorSigner(privateFile), fingerprint }
}

/** What the machine can, tried out. */
function meansOf(folder: string): { means: Means; notes: string[] } {
  const notes: string[] = []
  let disk: Kind | undefined
  const ext4 = problemOf('ext4', folder)
  if (ext4 === undefined) disk = 'ext4'
  else {
    notes.push(`disks: none that freezes: ${ext4}`)
    const tmpfs = problemOf('tmpfs', folder)
    if (tmpfs === undefined) disk = 'tmpfs'
    else notes.push(`disks: none that can be filled: ${tmpfs}`)
  }
  const faketime = getFaketime()
  if ('env' in faketime) return { means: { disk, faketime }, notes }
  notes.push(`wall clocks: ${faketime.missing}`)
  return { means: { disk, faketime: undefined }, notes }
}

interface Parts {
  readonly folder: string
  readonly network: Network
  readonly janitor: Janitor
}

function startOperators(
  { seed, local, vendored, vendoredStart }: PoolOptions,
  parts: Parts & {
    readonly brokers: readonly string[]
    readonly servers: readonly string[]
    readonly signer: VendorSigner
    readonly fingerprint: string
  },
): Process {
  const { folder, network, janitor, brokers, servers, signer, fingerprint } = parts
  const order: OperatorOrder = {
    folder: historyOf(folder),
    urls: brokers.map(broker => network.urls('office', broker)),
    ...{ servers, seed, signer, fingerprint, local, vendored, vendoredStart, rememberedMs },
  }
  const program = fileURLToPath(new URL('./operator-process.js', import.meta.url))
  const command = [process.execPath, program, JSON.stringify(order)]
  return new Process({ janitor, prefix: network.prefix('office'), command, ipc: true })
}

function clientsAt(
  site: string,
  near: string,
  { options, folder, network, janitor }: Parts & { readonly options: PoolOptions },
): ClientProcess {
  const { seed, wanted, clientsEach, residentsEach, onClientsEnd } = options
  return new ClientProcess({
    prefix: network.prefix(site),
    janitor,
    onEnd: onClientsEnd,
    order: {
      ...{ name: site, folder: historyOf(folder), urls: network.urls(site, near), prefer: near },
      ...{ seed, features: wanted, clients: clientsEach, residents: residentsEach },
    },
  })
}
