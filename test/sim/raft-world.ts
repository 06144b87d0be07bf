/**
 * A seeded world of Raft cores alone: virtual time, a network that loses, repeats, delays, reorders and parts, disks
 * that are slow or damaged, processes that crash, stall and come back. One seed, one run.
 *
 * First everything goes wrong and only safety is asked for; then the faults end, and within a bound the cluster must
 * elect, commit and agree (`raft-calm.ts`). Twice, so that what the first time left behind is there the second time.
 */
import assert from 'node:assert/strict'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Effects } from '../../raft/core/effect.ts'
import type { Input, PersistedState } from '../../raft/core/input.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'
import { Raft, type RaftOptions } from '../../raft/core/raft.ts'
import { calm } from './raft-calm.ts'
import { Checks } from './raft-checks.ts'
import { Clients } from './raft-clients.ts'
import { Nemesis } from './raft-nemesis.ts'
import { type Link, SimServer } from './raft-server.ts'
import { latestMs, type Swarm, swarmOf, type Wishes } from './raft-swarm.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualTime } from './virtual-clock.ts'

export interface RunOptions extends Wishes {
  /** Virtual ms of faults. */
  readonly faultsMs?: number
  /** Another build of the core. */
  readonly core?: new (options: RaftOptions) => Raft
}

export interface RunResult {
  readonly events: number
  /** Of these, timers that did nothing. */
  readonly idle: number
  readonly elections: number
  readonly commits: number
  readonly reads: number
  readonly snapshots: number
  readonly changes: number
  readonly damages: number
}

const slowInCrowds = new Set(['requestVote', 'requestVoteReply', 'appendEntries'])
const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']

export class RaftWorld {
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly swarm: Swarm
  readonly checks: Checks
  readonly nemesis: Nemesis
  readonly clients: Clients
  readonly servers: SimServer[]
  snapshotsInstalled = 0
  damages = 0
  /** Lost all it had: it has no vote until it was made a learner and a voter again. */
  wiped: string | undefined
  private readonly core: new (options: RaftOptions) => Raft
  private readonly snapshots = new Map<string, { readonly index: number; readonly link: Link }>()
  private events = 0
  private idle = 0

  constructor(seed: number, options: RunOptions) {
    this.random = new SeededRandom(seed)
    this.swarm = swarmOf(this.random, options)
    this.checks = new Checks(this.swarm.membership)
    this.core = options.core ?? Raft
    this.nemesis = new Nemesis(this)
    const founders = ids.slice(0, this.swarm.size)
    this.servers = founders.map(id => new SimServer(this, id))
    const configuration = configurationOf(founders)
    for (const { disk } of this.servers) {
      disk.trust = { kind: 'full' }
      disk.write(
        {
          seq: 0,
          currentTerm: 1,
          votedFor: undefined,
          entries: [{ kind: 'configuration', index: 1, term: 1, configuration }],
        },
        () => assert.fail(),
      )
    }
    this.clients = new Clients(this)
  }

  readonly count = (): void => void (this.events += 1)

  // What servers need of the world

  makeCore(id: string, persisted: PersistedState): Raft {
    const seed = this.random.between(0, 2 ** 31)
    return new this.core({ id, settings: this.swarm.settings, persisted, seed })
  }

  check(server: SimServer, effects: Effects | undefined, input?: Input): void {
    this.checks.step(server, effects, this.servers, input)
    if (effects === undefined) return
    this.clients.hear(server, effects)
    this.nemesis.strike(server, effects)
  }

  noteApplied({ index, chain }: { readonly index: number; readonly chain: number }): void {
    this.checks.applied(index, chain)
  }

  diskDelay({ slowDisk, hangsUntil }: SimServer): number {
    if (this.nemesis.isOver) return this.random.next() * this.swarm.diskMs
    const hangs = Math.max(0, hangsUntil - this.time.now)
    return hangs + this.random.next() * (slowDisk ? 60 : this.swarm.diskMs)
  }

  newSnapshotId(id: string): string {
    return `${id}:${this.snapshots.size + 1}`
  }

  registerSnapshot({ id, lastIncludedIndex }: SnapshotMeta, link: Link): void {
    this.snapshots.set(id, { index: lastIncludedIndex, link })
  }

  snapshotLink({ id }: SnapshotMeta): Link {
    const snapshot = this.snapshots.get(id)
    assert(snapshot !== undefined)
    return snapshot.link
  }

  snapshotIndex(id: string): number {
    return this.snapshots.get(id)?.index ?? 0
  }

  retire(server: SimServer): void {
    server.retired = true
    this.time.after(50, () => server.crash())
  }

  transmit(server: SimServer, message: Message, link: Link | undefined): void {
    this.checks.promise(server, message, link)
    const { random, nemesis, swarm } = this
    if (nemesis.isCut(message.from, message.to)) return
    if (nemesis.isOver) return this.deliver(server, message, 0)
    const habit = swarm.habits.get(message.type)
    const isSlow = nemesis.isCrowd && slowInCrowds.has(message.type)
    if (random.chance(habit === 'lost' ? 0.5 : swarm.lossRate)) return
    const late = random.chance(habit === 'late' || isSlow ? 0.5 : swarm.lateRate)
    this.deliver(server, message, late ? random.next() * (isSlow ? 120 : latestMs) : 0)
    const isOften = habit === 'repeated' || (nemesis.isCrowd && message.type === 'requestVote')
    if (random.chance(isOften ? 0.6 : swarm.repeatRate)) {
      this.deliver(server, message, random.next() * (isOften ? 120 : 20))
    }
    const isVote = message.type === 'requestVoteReply'
    if (!isVote && message.type !== 'appendEntriesReply') return
    if (!random.chance(isVote && nemesis.isCrowd ? 0.7 : swarm.bounceRate)) return
    this.time.after(0, () => nemesis.bounce(server))
  }

  private deliver(sender: SimServer, message: Message, late: number): void {
    const { random, time } = this
    time.after(random.next() * 4 + late, () => {
      const target = this.find(message.to)
      if (target === undefined) return
      if (target.raft === undefined) {
        if (random.chance(0.7)) sender.step({ type: 'unreachable', peer: target.id })
      } else if (time.now >= target.pausedUntil) target.step({ type: 'message', message })
      else {
        time.at(target.pausedUntil + random.next(), () => target.step({ type: 'message', message }))
      }
    })
  }

  // What happens to them

  addServer(): SimServer | undefined {
    const id = ids[this.servers.length]
    if (id === undefined) return undefined
    const server = new SimServer(this, id)
    this.servers.push(server)
    this.boot(server)
    return server
  }

  boot(server: SimServer): void {
    if (server.raft !== undefined || server.retired) return
    server.start()
    this.tick(server, server.raft)
  }

  /** The disk loses what it held at the end, or everything; one at a time, so that a majority has all that counts. */
  damage(server: SimServer): void {
    const { random, swarm, servers } = this
    const isOther = servers.some(({ disk }) => disk.trust.kind !== 'full')
    if (swarm.damage === 'none' || isOther || this.wiped !== undefined) return
    this.damages += 1
    server.crash()
    if (swarm.damage === 'all' && random.chance(0.3)) {
      this.wiped = server.id
      server.wipe()
    } else server.loseTail()
    this.time.after(random.next() * 100, () => this.boot(server))
  }

  private tick(server: SimServer, raft: Raft | undefined): void {
    // The driver's beat, every half a heartbeat or late: finer ones would only be more events that do nothing.
    const ms = 8 + this.random.next() * 8
    this.time.after(ms, () => {
      if (server.raft === undefined || server.raft !== raft) return
      const stall = server.pausedUntil - this.time.now
      if (stall > 0) {
        this.time.after(stall, () => {
          if (server.raft !== raft) return
          server.step({ type: 'stalled', ms: stall })
          server.step({ type: 'elapse', ms })
          this.tick(server, raft)
        })
        return
      }
      // Clocks are not alike.
      const effects = server.step({ type: 'elapse', ms: ms * (0.95 + this.random.next() * 0.1) })
      if (effects?.persist === undefined && effects?.send.length === 0) this.idle += 1
      this.tick(server, raft)
    })
  }

  find(id: string | undefined): SimServer | undefined {
    return this.servers.find(server => server.id === id)
  }

  run(faultsMs: number): RunResult {
    for (const server of this.servers) this.boot(server)
    for (let round = 0; round < 2; round++) {
      this.clients.beBusy()
      this.nemesis.rage(faultsMs / 2)
      calm(this)
    }
    this.clients.settle()
    const { elections, maxCommit: commits } = this.checks
    const { readsDone: reads, changesDone: changes } = this.clients
    const { events, idle, damages, snapshotsInstalled: snapshots } = this
    return { events, idle, elections, commits, reads, changes, snapshots, damages }
  }

  describe(): string {
    return this.servers
      .map(({ id, raft, applied, disk }) => {
        if (raft === undefined) return `${id} down`
        const { role, currentTerm, leader, commitIndex, lastIndex } = raft
        const trust = disk.trust.kind === 'full' ? '' : ` ${disk.trust.kind}`
        return `${id} ${role} t${currentTerm} leader=${leader} c${commitIndex} l${lastIndex} a${applied.index}${trust}`
      })
      .join('; ')
  }
}

/** One whole run. Throws, naming the seed, when anything that must hold does not. */
export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  try {
    return new RaftWorld(seed, options).run(options.faultsMs ?? 2500)
  } catch (error) {
    const { core: _core, ...wishes } = options
    const text = error instanceof Error ? error.message : String(error)
    throw new Error(`seed ${seed} ${JSON.stringify(wishes)}: ${text}`, { cause: error })
  }
}
