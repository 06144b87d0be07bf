/**
 * Raft nodes in one process, each with a NATS connection and a data folder of its own, for tests that want the
 * real parts.
 *
 * `kill` is what a dead process looks like from outside: the connection is gone at once, and what the node had in
 * mind is lost; `stop` is the clean way.
 */
import { join } from 'node:path'
import {
  bootstrap,
  configurationOf,
  connectNats,
  defaultSettings,
  openLevelStorage,
  startNode,
  systemClock,
  systemRandom,
  type NatsBus,
  type NodeOptions,
  type NodeStatus,
  type ProposeOutcome,
  type RaftNode,
  type ReadOutcome,
  type Storage,
  type Logger,
} from '../../raft/index.ts'
import { Counter } from './counter.ts'

/** Quick enough for tests, with room for a busy machine. */
export const testSettings = {
  ...defaultSettings,
  electionTimeoutMs: 600,
  heartbeatMs: 50,
  trailingEntries: 10,
}

export interface Member {
  readonly id: string
  readonly node: RaftNode
  readonly machine: Counter
  readonly bus: NatsBus
  readonly storage: Storage
  readonly fatal: Error[]
}

export class Cluster {
  readonly members = new Map<string, Member>()
  /** Who waits for `change`. */
  readonly #waiting = new Set<() => void>()
  readonly #url: string
  readonly #folder: string
  readonly #extra: Partial<NodeOptions>
  readonly #name: string

  constructor(url: string, folder: string, name: string, extra: Partial<NodeOptions> = {}) {
    this.#url = url
    this.#folder = folder
    this.#name = name
    this.#extra = extra
  }

  /** Makes the first state on the disks of `ids`, and starts them. */
  async found(ids: readonly string[], commands: readonly Uint8Array[] = []): Promise<void> {
    for (const id of ids) {
      const storage = await openLevelStorage(join(this.#folder, id))
      await new Promise<void>((resolve, reject) => {
        bootstrap(storage, { configuration: configurationOf(ids), commands }, error =>
          error === undefined ? resolve() : reject(error),
        )
      })
      await close(storage)
    }
    await Promise.all(ids.map(id => this.start(id)))
  }

  async start(id: string): Promise<Member> {
    const storage = await openLevelStorage(join(this.#folder, id))
    const bus = await connectNats({ servers: this.#url, name: id, waitMs: 5000 })
    const machine = new Counter()
    const fatal: Error[] = []
    const node = startNode({
      id,
      cluster: `test.${this.#name}.raft`,
      settings: testSettings,
      storage,
      bus,
      clock: systemClock,
      random: systemRandom,
      machine,
      log: this.#logger(id),
      ...this.#extra,
    })
    node.onFatal(error => {
      fatal.push(error)
      this.#changed()
    })
    node.onStatus(() => this.#changed())
    machine.onChange = () => this.#changed()
    const member = { id, node, machine, bus, storage, fatal }
    this.members.set(id, member)
    return member
  }

  member(id: string): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`${id} does not run`)
    return member
  }

  get all(): Member[] {
    return [...this.members.values()]
  }

  /** Ends a member as a crash would: nothing is handed over, nothing more is sent. */
  async kill(id: string): Promise<void> {
    const { node, bus, storage } = this.member(id)
    this.members.delete(id)
    await bus.close()
    await new Promise<void>(resolve => {
      node.stop(() => resolve())
    })
    await close(storage)
  }

  async stop(id: string): Promise<void> {
    const { node, bus, storage } = this.member(id)
    this.members.delete(id)
    await new Promise<void>(resolve => {
      node.stop(() => resolve())
    })
    await bus.close()
    await close(storage)
  }

  async end(): Promise<void> {
    await Promise.all([...this.members.keys()].map(id => this.kill(id)))
  }

  /** The member that leads, once one does. */
  async leader(): Promise<Member> {
    const leads = ({ node }: Member): boolean =>
      node.status.role === 'leader' && node.status.quorate
    await until(this.all, () => this.all.some(leads))
    const leader = this.all.find(leads)
    if (leader === undefined) throw new Error('the leader went as it came')
    return leader
  }

  /** Waits until every member has applied the same, `count` lines at least. */
  async converged(count: number): Promise<void> {
    for (;;) {
      const [first, ...rest] = this.all
      const same = rest.every(({ machine }) => machine.hash === first?.machine.hash)
      if (first !== undefined && same && first.machine.lines.length >= count) return
      await this.change()
    }
  }

  /** The next change of a member's status, of what its machine has applied, or the next thing it has to say. */
  change(): Promise<void> {
    return new Promise(resolve => void this.#waiting.add(resolve))
  }

  /** What a node has to say is a change too; with RAFT_TEST_LOG set it is printed. */
  #logger(id: string): Logger {
    const say =
      (level: string) =>
      (event: string, fields?: Readonly<Record<string, unknown>>): void => {
        this.#changed()
        if (process.env['RAFT_TEST_LOG'] === undefined) return
        const time = performance.now().toFixed(0)
        process.stderr.write(`${time} ${id} ${level} ${event} ${JSON.stringify(fields ?? {})}\n`)
      }
    return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  }

  #changed(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

/** Waits for `test`, which is asked at every change of status. */
export function until(members: readonly Member[], test: () => boolean): Promise<void> {
  return new Promise(resolve => {
    const check = (): void => {
      if (!test()) return
      for (const subscription of subscriptions) subscription.unsubscribe()
      resolve()
    }
    const subscriptions = members.map(({ node }) => node.onStatus(check))
    check()
  })
}

export function status({ node }: Member): NodeStatus {
  return node.status
}

export function propose({ node }: Member, text: string): Promise<ProposeOutcome> {
  return new Promise(resolve => {
    node.propose(Buffer.from(text), resolve)
  })
}

/** Proposes to whoever leads until it is committed; a command of unknown outcome is not repeated. */
export async function commit(cluster: Cluster, text: string): Promise<ProposeOutcome> {
  for (;;) {
    const leader = await cluster.leader()
    const change = cluster.change()
    const outcome = await propose(leader, text)
    if (outcome.outcome !== 'refused') return outcome
    await change
  }
}

export function readIndex({ node }: Member): Promise<ReadOutcome> {
  return new Promise(resolve => {
    node.readIndex(resolve)
  })
}

export function close(storage: Storage): Promise<void> {
  return new Promise(resolve => {
    storage.close(resolve)
  })
}
