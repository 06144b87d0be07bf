/**
 * A whole pool on this machine, to look at: NATS, three servers, a demo feature, clients whose demand wanders.
 *
 * Everything lives in one folder, a temporary one unless told; nothing is left when it ends. Without a nats-server
 * the built-in broker serves, so that it needs nothing but Node.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectNats, systemClock, systemRandom, type NatsBus } from '../../raft/index.ts'
import { startBroker } from '../broker/broker.ts'
import { signCode } from '../code/sign.ts'
import { makeVendorKey, type VendorSigner } from '../code/vendor-key.ts'
import { CtlClient } from '../ctl/ctl-client.ts'
import { withoutSecrets } from '../without-secrets.ts'
import { findNatsServer, startNatsServer } from '../nats-server.ts'
import { initPool } from '../pool-files.ts'
import { Child } from './children.ts'

export const devServers = ['alpha', 'beta', 'gamma'] as const
/** Both features are shown; the demo's is signed by a vendor made for the occasion. */
export const devFeature = 'demo'
export const devAllocations = 24
export const devPool = 'default'

/** Shorter than a pool's in earnest, so that a newcomer sees leases end and seats come back. */
const settings = { tickMs: 500, leaseTicks: 20, seatTicks: 12 }

export interface SessionOptions {
  /** The script to run servers with: `cmd/start.cjs`. */
  readonly program: string
  /** Keep the data here instead of in a temporary folder; a pool that is there already goes on. */
  readonly data?: string
  /** Use this NATS server instead of starting one. */
  readonly nats?: string
  /** The built-in broker even where a nats-server is found. */
  readonly embedded?: boolean
  /** Told what its start does. */
  readonly onStep?: (what: string) => void
  /** Lines of the servers' logs. */
  readonly log: (line: string) => void
}

interface Broker {
  readonly url: string
  /** What it is, in words. */
  readonly name: string
  stop(): Promise<void>
}

/** A running pool and the operator's connection to it. Closing it ends all that it started. */
export class Session implements AsyncDisposable {
  readonly broker: Broker
  readonly bus: NatsBus
  readonly ctl: CtlClient
  readonly folder: string
  readonly #options: SessionOptions
  readonly #children = new Map<string, Child>()
  /** Killed by key and not started again, oldest first. */
  readonly killed = new Set<string>()
  #isClosed = false

  private constructor(options: SessionOptions, folder: string, broker: Broker, bus: NatsBus) {
    this.#options = options
    this.folder = folder
    this.broker = broker
    this.bus = bus
    const ports = { bus, clock: systemClock, random: systemRandom }
    this.ctl = new CtlClient({ ...ports, pool: devPool, by: 'dev', timeoutMs: 15_000 })
  }

  /** Resolves when the servers serve and the demo feature is there. On failure nothing is left running. */
  static async start(options: SessionOptions): Promise<Session> {
    const vendor = makeVendorKey('demo-vendor')
    const isNew = options.data === undefined || !existsSync(join(options.data, devServers[0]))
    const folder = options.data ?? (await mkdtemp(join(tmpdir(), 'licd-dev-')))
    let session: Session | undefined
    let broker: Broker | undefined
    try {
      options.onStep?.('making the pool')
      const fingerprint = isNew ? await init(folder, vendor) : undefined
      options.onStep?.('starting NATS')
      broker = await openBroker(options)
      const bus = await connectNats({ servers: [broker.url], name: 'licd dev', waitMs: 5_000 })
      session = new Session(options, folder, broker, bus)
      await session.#serve()
      options.onStep?.('adding the demo feature')
      if (fingerprint !== undefined) await session.#addFeature(vendor, fingerprint)
      return session
    } catch (error) {
      if (session !== undefined) await session[Symbol.asyncDispose]()
      else {
        await broker?.stop()
        if (options.data === undefined) await rm(folder, { recursive: true, force: true })
      }
      throw error
    }
  }

  async #serve(): Promise<void> {
    for (const server of devServers) this.#start(server)
    const starting = new Set<string>(devServers)
    const say = () => this.#options.onStep?.(`starting ${[...starting].join(', ')}`)
    say()
    await Promise.all(
      [...this.#children.values()].map(async ({ server, ready }) => {
        await ready
        starting.delete(server)
        say()
      }),
    )
  }

  #start(server: string): Child {
    const child = new Child(server, {
      program: this.#options.program,
      data: join(this.folder, server),
      nats: this.broker.url,
      log: this.#options.log,
    })
    this.#children.set(server, child)
    return child
  }

  async #addFeature(vendor: VendorSigner, fingerprint: string): Promise<void> {
    const text = signCode(
      {
        codeId: systemRandom.id(),
        customer: 'you',
        fingerprint,
        kind: 'feature',
        feature: devFeature,
        allocations: devAllocations,
        startsAt: 0,
        issuedAt: systemClock.wall(),
      },
      vendor,
    )
    await this.ctl.change('code-add', { text })
  }

  /** Kills a server's process as a crash would. Nothing happens when it does not run. */
  async kill(server: string): Promise<void> {
    const child = this.#children.get(server)
    if (child === undefined || !child.isRunning) return
    this.killed.add(server)
    await child.kill()
  }

  /** Starts the server again that was killed first; its name, or undefined when none was. */
  async restart(): Promise<string | undefined> {
    const [server] = this.killed
    if (server === undefined || this.#isClosed) return undefined
    this.killed.delete(server)
    await this.#start(server).ready
    return server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.ctl.close()
    await Promise.all([...this.#children.values()].map(child => child.stop()))
    await this.bus.close()
    await this.broker.stop()
    if (this.#options.data === undefined) await rm(this.folder, { recursive: true, force: true })
  }
}

async function init(folder: string, vendor: VendorSigner): Promise<string> {
  const { kid, name, publicKey } = vendor
  const { fingerprint } = await initPool({
    folder,
    pool: devPool,
    servers: devServers,
    vendors: [{ kid, name, publicKey }],
    settings,
    wall: () => systemClock.wall(),
    randomBytes,
  })
  return fingerprint
}

/** NATS as told, else a nats-server of this machine, else the built-in broker. */
async function openBroker(options: SessionOptions): Promise<Broker> {
  if (options.nats !== undefined) {
    return {
      url: options.nats,
      name: `NATS at ${withoutSecrets(options.nats)}`,
      stop: () => Promise.resolve(),
    }
  }
  const program = options.embedded === true ? undefined : findNatsServer()
  if (program === undefined) {
    const broker = await startBroker()
    const name = `the built-in broker at ${broker.url} (for trying out only)`
    return { url: broker.url, name, stop: () => broker.stop() }
  }
  const server = await startNatsServer({ program })
  return { url: server.url, name: `nats-server at ${server.url}`, stop: () => server.stop() }
}
