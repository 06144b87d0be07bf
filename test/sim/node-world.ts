/**
 * A seeded world of whole nodes: the real core, driver, codec, store and ledger over simulated time, network, disks and
 * processes. One seed, one run.
 *
 * First everything goes wrong, and only safety is asked for. Then the faults end; a random majority that is connected,
 * while the rest stays broken, must elect, serve and agree within a bound, and after it all servers.
 */
import assert from 'node:assert/strict'
import { commandCodec } from '../../lib/command-codec.ts'
import { configurationOf, isMember, type Configuration } from '../../raft/core/configuration.ts'
import type { Effects } from '../../raft/core/effect.ts'
import type { Input } from '../../raft/core/input.ts'
import { NodeChecks } from './node-checks.ts'
import { firstCommands, NodeClients } from './node-clients.ts'
import { chooseCore, type Core } from './node-core.ts'
import { NodeFaults } from './node-faults.ts'
import { checkFeature } from './node-history.ts'
import { SimNetwork } from './node-network.ts'
import { NodeOperators } from './node-operators.ts'
import { drawOptions, type NodeRunOptions, type RunRequest } from './node-options.ts'
import type { EventKind } from './node-process.ts'
import { NodeServer, type Running } from './node-server.ts'
import { Strangers } from './node-strangers.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualTime } from './virtual-clock.ts'

export interface RunResult {
  readonly events: number
  readonly messages: number
  readonly disk: number
  readonly timers: number
  readonly faults: number
  readonly idle: number
  readonly commands: number
  readonly reads: number
  readonly unknown: number
  readonly undecided: number
  readonly elections: number
  readonly truncations: number
  readonly snapshots: number
  readonly changes: number
  readonly transfers: number
  readonly terms: number
  readonly virtualMs: number
  readonly kinds: ReadonlyMap<string, number>
}

const ids = 'abcdefghijkl'
/** A hundred times what a run is made of. */
const maxEvents = 1_000_000

export class NodeWorld {
  readonly time = new VirtualTime()
  readonly tickMs = 500
  readonly options: NodeRunOptions
  readonly random: SeededRandom
  readonly checks = new NodeChecks()
  readonly network: SimNetwork
  readonly servers: NodeServer[] = []
  readonly clients: NodeClients
  readonly operators: NodeOperators
  readonly faults: NodeFaults
  readonly strangers: Strangers
  readonly counts: Record<EventKind, number> = { message: 0, disk: 0, timer: 0, fault: 0 }
  /** What happened, newest last. */
  readonly story: string[] = []
  idle = 0
  restores = 0
  calm = false
  undecided = 0
  #violation: Error | undefined

  /** `changed`: what is not as the seed says. */
  constructor(request: RunRequest, changed: Partial<NodeRunOptions> = {}) {
    this.options = { ...drawOptions(request), ...changed }
    const random = new SeededRandom(`world ${request.seed}`)
    this.random = random
    this.network = new SimNetwork({
      time: this.time,
      random: random.split('network'),
      latencyMs: this.options.latencyMs,
      onDelivered: () => void this.counts.message++,
    })
    this.clients = new NodeClients(this, random.split('clients'))
    this.operators = new NodeOperators(this)
    this.faults = new NodeFaults(this)
    this.strangers = new Strangers(this)
    for (let n = 0; n < this.options.size; n++) this.addServer()
  }

  // What its parts need

  addServer(): NodeServer {
    const id = ids[this.servers.length]
    assert(id !== undefined)
    const server = new NodeServer(this, id, this.random.split(id))
    this.servers.push(server)
    return server
  }

  count(kind: EventKind): void {
    this.counts[kind]++
  }

  get events(): number {
    const { message, disk, timer, fault } = this.counts
    return message + disk + timer + fault
  }

  /** Runs what is not the node's own code: what it throws ends the run. */
  guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.fail(error)
    }
  }

  fail(error: unknown): void {
    this.#violation ??= error instanceof Error ? error : new Error(String(error))
  }

  tell(text: string): void {
    this.story.push(`${this.time.now.toFixed(1)} ${text}`)
    if (this.story.length > 400) this.story.splice(0, 200)
  }

  /** A beat or heartbeat that led to nothing but more of them is idle. */
  noteStep(input: Input, effects: Effects): void {
    const { type } = input
    const isBeat = type === 'elapse' || (type === 'message' && isHeartbeat(input.message.type))
    if (!isBeat) return
    const { persist, send, apply, reads, proposals } = effects
    if (persist !== undefined || apply.length > 0) return
    if (reads.length > 0 || proposals.length > 0 || effects.sendChunks.length > 0) return
    for (const { message } of send) if (!isHeartbeat(message.type)) return
    this.idle++
  }

  serverFor(hint: string | undefined, random: SeededRandom): NodeServer | undefined {
    const hinted = hint === undefined ? undefined : this.servers.find(({ id }) => id === hint)
    if (hinted?.running !== undefined && random.chance(0.9)) return hinted
    const leader = this.servers.find(({ leads }) => leads)
    if (leader !== undefined && random.chance(0.6)) return leader
    return random.pick(this.servers)
  }

  /** At most a minority, of whatever configuration may be in force, may be without its disk at a time. */
  mayDamage({ id, watched }: NodeServer): boolean {
    if (watched.damaged) return false
    return this.checks.configurationsInForce().every(one => this.isSpared(one, id))
  }

  /** Whether no more than a minority of each half is damaged, this one included. */
  isSpared({ voters, outgoing }: Configuration, also?: string): boolean {
    return [voters, outgoing].every(half => {
      const lost = half.filter(id => id === also || this.checks.watch(id).damaged)
      const isHit = also === undefined || half.includes(also)
      return !isHit || lost.length <= Math.floor((half.length - 1) / 2)
    })
  }

  bootLater(server: NodeServer, ms: number): void {
    this.time.after(ms, () => server.boot())
  }

  /** Removed for good: it goes, and does not come back. */
  retireLater(server: NodeServer): void {
    this.time.after(2 * this.options.settings.electionTimeoutMs, () => {
      const { raft, id } = server
      // One that is being healed comes back.
      if (raft?.trust.kind !== 'full' || isMember(raft.configuration, id)) return
      server.retired = true
      server.crash()
    })
  }

  proposeTick({ node, machine }: Running): void {
    const tick = machine.ledger.state.tick + 1
    const command = { id: '', deadline: 0, by: 'sim', body: { type: 'tick', tick, listings: [] } }
    node?.propose(commandCodec.encode(command as Parameters<typeof commandCodec.encode>[0]))
  }

  // The run

  run(): RunResult {
    this.start()
    this.runTo(this.options.faultsMs)
    this.#heal()
    return this.#result()
  }

  start(): void {
    this.#found()
    this.clients.start()
    this.faults.start()
    this.operators.start()
  }

  #found(): void {
    const founders = this.servers.map(({ id }) => id)
    const configuration = configurationOf(founders)
    const commands = firstCommands(founders)
    for (const server of this.servers) {
      server.watched.damaged = false
      server.boot({ configuration, commands })
    }
    this.runTo(200)
  }

  runTo(time: number): void {
    this.time.runTo(time, () => this.#assertSound())
  }

  #assertSound(): void {
    if (this.#violation !== undefined) throw this.#violation
    assert(this.events < maxEvents, 'a storm of messages that does not end')
  }

  /** Looks now and then, so that looking costs nothing. */
  #until(what: string, done: () => boolean): void {
    const { electionTimeoutMs } = this.options.settings
    const end = this.time.now + boundOf(electionTimeoutMs)
    while (!done()) {
      assert(this.time.now < end, `liveness: ${what}: ${this.describe()}`)
      this.runTo(this.time.now + electionTimeoutMs / 10)
      // A process that ends is started again.
      for (const server of this.servers) server.boot()
    }
  }

  #heal(): void {
    this.faults.end()
    this.strangers.go()
    this.calm = true
    const core = chooseCore(this, this.random)
    this.tell(`the faults end; core ${core.members.join(' ')}`)
    this.#calmDown(core)
    const { commands, reads } = this.clients
    this.#until('a majority does not serve', () => {
      return this.clients.commands >= commands + 5 && this.clients.reads >= reads + 2
    })
    this.clients.rest()
    this.#until('a majority does not agree', () => {
      return this.clients.open === 0 && this.#agrees(core.members)
    })
    for (const server of this.servers) {
      server.broken = false
      server.process?.resume()
      server.calmDisk()
      server.boot()
    }
    this.network.healAll()
    this.#until('not all come back', () => this.#agrees(this.servers.map(({ id }) => id)))
    this.#checkDisks()
    this.#checkHistory()
  }

  /** The newest snapshot, one that is being taken, and one that is being sent: no more is kept. */
  #checkDisks(): void {
    this.runTo(this.time.now + 2 * this.options.settings.electionTimeoutMs)
    for (const { id, running } of this.servers) {
      const count = running?.disk.snapshotIds.size ?? 0
      assert(count <= 3, `${id} keeps ${count} snapshots`)
    }
  }

  #calmDown({ members, breakage }: Core): void {
    this.network.healAll()
    for (const server of this.servers) {
      const { process, disk, id } = server
      if (process !== undefined) process.slowMs = 0
      if (members.includes(id)) {
        process?.light(Infinity)
        process?.resume()
        server.calmDisk()
        server.boot()
        continue
      }
      if (breakage === 'down') {
        server.crash()
        server.broken = true
      } else if (breakage === 'paused') process?.pause(false)
      else if (breakage === 'stalled') disk.stalled = true
      // One that hears and is heard, but does nothing, or whose disk does nothing, must not lead on.
      if (breakage === 'paused' || breakage === 'stalled') continue
      for (const one of members) {
        if (breakage !== 'mute') this.network.cut(one, id)
        if (breakage !== 'deaf') this.network.cut(id, one)
      }
    }
  }

  /** All of these that are members have applied all that their leader has. */
  #agrees(members: readonly string[]): boolean {
    const leader = this.servers.find(({ raft, id }) => raft?.ready === true && members.includes(id))
    const raft = leader?.raft
    if (raft === undefined) return false
    const { voters, outgoing, learners } = raft.configuration
    if (outgoing.length > 0 || raft.commitIndex < raft.lastIndex) return false
    return this.servers.every(server => {
      if (!members.includes(server.id) || server.retired) return true
      if (!voters.includes(server.id) && !learners.includes(server.id)) return true
      return server.running?.node?.status.lastApplied === raft.lastIndex
    })
  }

  #checkHistory(): void {
    for (const [feature, history] of this.clients.history) {
      const verdict = checkFeature(history)
      if (verdict === 'undecided') this.undecided++
      assert(verdict !== 'not-linearizable', `the history of ${feature} is not linearizable`)
    }
    const leader = this.servers.find(({ raft }) => raft?.ready === true)
    const results = leader?.running?.machine.ledger.state.results
    assert(results !== undefined)
    for (const [id, index] of this.clients.acknowledged) {
      assert(results.get(id)?.result.ok, `durability: ${id}, acknowledged at ${index}, is gone`)
    }
  }

  describe(): string {
    return this.servers.map(server => server.describe()).join('; ')
  }

  #result(): RunResult {
    const { message, disk, timer, fault } = this.counts
    const { checks, clients, operators } = this
    return {
      events: this.events,
      ...{ messages: message, disk, timers: timer, faults: fault, idle: this.idle },
      ...{ commands: clients.commands, reads: clients.reads, unknown: clients.unknown },
      undecided: this.undecided,
      ...{ elections: checks.elections, truncations: checks.truncations },
      snapshots: this.restores,
      ...{ changes: operators.changes, transfers: operators.transfers },
      terms: checks.maxTerm,
      virtualMs: this.time.now,
      kinds: this.faults.counts,
    }
  }
}

/** Within so many virtual ms after the last fault a healthy majority must have done what is asked of it. */
function boundOf(electionTimeoutMs: number): number {
  return 60 * electionTimeoutMs + 3_000
}

function isHeartbeat(type: string): boolean {
  return type === 'heartbeat' || type === 'heartbeatReply'
}

/** One whole run. Throws, with what led to it, when anything that must hold does not. */
export function runNodes(request: RunRequest): RunResult {
  const world = new NodeWorld(request)
  try {
    return world.run()
  } catch (error) {
    throw new NodeFailure(world, error)
  }
}

export class NodeFailure extends Error {
  /** Virtual ms at which it was noticed. */
  readonly at: number
  /** The faults until then, as `kind#n`. */
  readonly happened: readonly string[]
  readonly story: readonly string[]

  constructor(world: NodeWorld, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.at = world.time.now
    this.happened = world.faults.happened
    this.story = world.story
  }
}
