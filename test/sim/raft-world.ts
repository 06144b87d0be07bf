/**
 * A seeded world of Raft cores alone: virtual time, a network that loses, repeats, delays, reorders and parts, disks
 * that are slow, processes that crash, stall and come back. One seed, one run.
 *
 * First everything goes wrong and only safety is asked for; then the faults end, and within a bound the cluster must
 * elect, commit and agree.
 */
import assert from 'node:assert/strict'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Effects } from '../../raft/core/effect.ts'
import type { PersistedState } from '../../raft/core/input.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'
import { Raft, type RaftOptions } from '../../raft/core/raft.ts'
import { defaultSettings, type RaftSettings } from '../../raft/core/settings.ts'
import { Checks } from './raft-checks.ts'
import { Clients } from './raft-clients.ts'
import { type Link, SimServer } from './raft-server.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualTime } from './virtual-clock.ts'

export interface RunOptions {
  /** Voters at the start. */
  readonly size: number
  /** Virtual ms of faults. */
  readonly faultsMs?: number
  readonly membership?: boolean
  /** Every rate at its worst, and one entry a message: for what takes several elections to go wrong. */
  readonly harsh?: boolean
  /** Another build of the core: how mutants are put to the test. */
  readonly core?: new (options: RaftOptions) => Raft
}

export interface RunResult {
  readonly events: number
  readonly elections: number
  readonly commits: number
  readonly reads: number
  readonly snapshots: number
  readonly changes: number
}

const electionTimeoutMs = 100
/** See `#misfortune`. */
const misfortunes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13] as const
const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']

export class RaftWorld {
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly checks = new Checks()
  readonly clients: Clients
  readonly servers: SimServer[]
  readonly snapshotEvery: number
  readonly membership: boolean
  readonly #core: new (options: RaftOptions) => Raft
  readonly #settings: RaftSettings
  /** Links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>()
  readonly #snapshots = new Map<string, { readonly index: number; readonly link: Link }>()
  readonly #lossRate: number
  readonly #repeatRate: number
  readonly #lateRate: number
  /** How often a server crashes, and starts again at once, right after it promised something. */
  readonly #bounceRate: number
  /** How often the leader is cut off at the worst moment. */
  readonly #strikeRate: number
  /** Mean pause between misfortunes, in ms. */
  readonly #calmMs: number
  /** What kinds of misfortune this seed has: a few kinds often find more than all kinds now and then. */
  readonly #misfortunes: readonly number[]
  #faulty = true
  snapshotsInstalled = 0
  /** The one that stays cut off to the end. */
  broken: string | undefined

  constructor(seed: number, options: RunOptions) {
    const { size, membership = false, harsh = false, core = Raft } = options
    this.random = new SeededRandom(seed)
    const { random } = this
    this.#core = core
    this.membership = membership
    this.#settings = {
      ...defaultSettings,
      electionTimeoutMs,
      heartbeatMs: 20,
      maxEntriesPerMessage: harsh ? 1 : random.between(1, 8),
      maxBytesPerMessage: random.pick([64, 200, 2000]),
      maxInflightMessages: harsh ? 1 : random.between(1, 6),
      maxInflightBytes: random.pick([64, 300, 5000]),
      maxUncommittedBytes: random.pick([200, 1000, 100_000]),
      maxUnappliedBytes: random.pick([64, 500, 100_000]),
      snapshotWindow: random.between(1, 3),
      trailingEntries: random.between(0, 6),
      maxPendingReads: random.between(1, 10),
    }
    this.snapshotEvery = random.pick([4, 15, 1000])
    this.#lossRate = harsh ? 0.1 : random.pick([0, 0.02, 0.1, 0.25])
    this.#repeatRate = random.pick([0, 0.05, 0.2])
    this.#lateRate = harsh ? 0.2 : random.pick([0.01, 0.05, 0.2])
    this.#bounceRate = harsh ? 0.15 : random.pick([0, 0, 0.03, 0.15])
    this.#strikeRate = harsh ? 0.8 : random.pick([0, 0.05, 0.3, 0.7])
    this.#calmMs = harsh ? 25 : random.pick([25, 60, 60, 150])
    this.#misfortunes = [...misfortunes, ...misfortunes].filter(() => random.chance(0.6))
    this.servers = ids.slice(0, size).map(id => new SimServer(this, id))
    const configuration = configurationOf(ids.slice(0, size))
    for (const { disk } of this.servers) {
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

  // What servers need of the world

  makeCore(id: string, persisted: PersistedState): Raft {
    const seed = this.random.between(0, 2 ** 31)
    return new this.#core({ id, settings: this.#settings, persisted, seed })
  }

  check(server: SimServer, effects: Effects | undefined): void {
    this.checks.step(server, effects, this.servers)
    if (effects === undefined) return
    this.clients.hear(server, effects)
    this.#strike(server, effects)
  }

  noteApplied({ index, chain }: { readonly index: number; readonly chain: number }): void {
    this.checks.applied(index, chain)
  }

  diskDelay({ slowDisk }: SimServer): number {
    return this.random.next() * (slowDisk && this.#faulty ? 60 : 3)
  }

  newSnapshotId(id: string): string {
    return `${id}:${this.#snapshots.size + 1}`
  }

  registerSnapshot({ id, lastIncludedIndex }: SnapshotMeta, link: Link): void {
    this.#snapshots.set(id, { index: lastIncludedIndex, link })
  }

  snapshotLink({ id }: SnapshotMeta): Link {
    const snapshot = this.#snapshots.get(id)
    assert(snapshot !== undefined)
    return snapshot.link
  }

  snapshotIndex(id: string): number {
    return this.#snapshots.get(id)?.index ?? 0
  }

  retire(server: SimServer): void {
    server.retired = true
    this.time.after(50, () => server.crash())
  }

  transmit(server: SimServer, message: Message, link: Link | undefined): void {
    this.checks.promise(server, message, link)
    const { random } = this
    if (this.#cut.has(`${message.from}>${message.to}`)) return
    if (this.#faulty && random.chance(this.#lossRate)) return
    this.#deliver(server, message)
    if (!this.#faulty) return
    if (random.chance(this.#repeatRate)) this.#deliver(server, message)
    const promises = message.type === 'requestVoteReply' || message.type === 'appendEntriesReply'
    if (promises && random.chance(this.#bounceRate)) this.time.after(0, () => this.#bounce(server))
  }

  /** Crashes and starts again at once; the others may have noticed. */
  #bounce(server: SimServer): void {
    server.crash()
    this.boot(server)
    if (this.random.chance(0.5)) this.#tellGone([server])
  }

  /** The worst moments: right after an election, and right after something was committed. */
  #strike(server: SimServer, effects: Effects): void {
    const { random } = this
    const isElected = effects.status?.role === 'leader'
    if (!this.#faulty || !random.chance(this.#strikeRate)) return
    const isChanging = effects.configuration !== undefined
    const isCommitting = effects.apply.length > 0
    const leads = server.raft?.role === 'leader'
    if (!isElected && !(leads && (isCommitting || isChanging))) return
    const companions = this.servers.filter(() => random.chance(isCommitting ? 0 : 0.3))
    this.time.after(isCommitting ? 0 : random.next() * 12, () => {
      if (this.#faulty) this.#isolate([server, ...companions])
    })
  }

  #tellGone(group: readonly SimServer[]): void {
    for (const server of this.servers) {
      if (group.includes(server)) continue
      for (const { id } of group) server.step({ type: 'unreachable', peer: id })
    }
  }

  #deliver(sender: SimServer, message: Message): void {
    const { random } = this
    const late = this.#faulty && random.chance(this.#lateRate) ? random.next() * 300 : 0
    this.time.after(random.next() * 4 + late, () => {
      const target = this.#find(message.to)
      if (target === undefined) return
      if (target.raft === undefined) {
        if (random.chance(0.7)) sender.step({ type: 'unreachable', peer: target.id })
      } else if (this.time.now >= target.pausedUntil) target.step({ type: 'message', message })
      else {
        this.time.at(target.pausedUntil + random.next(), () => {
          target.step({ type: 'message', message })
        })
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
    this.#tick(server, server.raft)
  }

  #tick(server: SimServer, raft: Raft | undefined): void {
    const ms = 5 + this.random.next() * 10
    this.time.after(ms, () => {
      if (server.raft === undefined || server.raft !== raft) return
      const stall = server.pausedUntil - this.time.now
      if (stall > 0) {
        this.time.after(stall, () => {
          if (server.raft !== raft) return
          server.step({ type: 'stalled', ms: stall })
          server.step({ type: 'elapse', ms })
          this.#tick(server, raft)
        })
        return
      }
      // Clocks are not alike.
      server.step({ type: 'elapse', ms: ms * (0.95 + this.random.next() * 0.1) })
      this.#tick(server, raft)
    })
  }

  #misfortune(): void {
    const { random, servers } = this
    const leader = servers.find(({ raft }) => raft?.role === 'leader')
    const server = leader !== undefined && random.chance(0.4) ? leader : random.pick(servers)
    const other = random.pick(servers)
    switch (random.pick(this.#misfortunes)) {
      case 0:
      case 1:
        server.crash()
        return void this.time.after(random.next() * 400, () => this.boot(server))
      case 2:
        return this.#bounce(server)
      case 3:
        return this.#isolate(servers.filter(() => random.chance(0.4)))
      case 4:
        return this.#isolate([server])
      case 5:
        // With one companion: what it appends reaches a minority.
        return this.#isolate([server, other])
      case 6:
        this.#cut.add(`${server.id}>${other.id}`)
        return
      case 7:
        // Sends, but hears nobody.
        for (const { id } of servers) this.#cut.add(`${id}>${server.id}`)
        return
      case 8:
        server.slowDisk = !server.slowDisk
        return
      case 9:
        server.pausedUntil = this.time.now + random.next() * 250
        return
      case 10:
        return server.step({ type: 'unreachable', peer: other.id })
      case 11:
        return this.#tellGone([server])
      case 12:
        return server.step({ type: 'stepDown' })
      default:
        return this.#cut.clear()
    }
  }

  #find(id: string): SimServer | undefined {
    return this.servers.find(server => server.id === id)
  }

  /** No message passes between these and the others, who may be told so: then they elect at once. */
  #isolate(group: readonly SimServer[]): void {
    this.#cut.clear()
    if (this.random.chance(0.5)) this.#tellGone(group)
    for (const { id: from } of group) {
      for (const other of this.servers) {
        if (group.includes(other)) continue
        this.#cut.add(`${from}>${other.id}`)
        this.#cut.add(`${other.id}>${from}`)
      }
    }
  }

  run(faultsMs: number): RunResult {
    let events = 0
    const count = () => void (events += 1)
    for (const server of this.servers) this.boot(server)
    while (this.time.now < faultsMs) {
      this.time.run(this.random.next() * 2 * this.#calmMs, count)
      if (this.#misfortunes.length > 0) this.#misfortune()
      // Nobody stays cut off for long.
      if (this.random.chance(0.15)) this.#cut.clear()
    }
    this.#heal()
    const limit = 30 * electionTimeoutMs
    if (!this.time.runUntil(() => this.clients.hasSettled(), limit, count)) {
      assert.fail(`liveness: a quiet cluster does not settle: ${this.#describe()}`)
    }
    this.clients.proposeAgain()
    if (!this.time.runUntil(() => this.clients.isServed(), limit, count)) {
      assert.fail(`liveness: nothing is committed everywhere: ${this.#describe()}`)
    }
    this.clients.settle()
    const { elections, maxCommit } = this.checks
    const { readsDone: reads, changesDone: changes } = this.clients
    return {
      events,
      elections,
      commits: maxCommit,
      reads,
      changes,
      snapshots: this.snapshotsInstalled,
    }
  }

  /** All is well from now on, but perhaps for one server, without which the others must do. */
  #heal(): void {
    this.#faulty = false
    this.#cut.clear()
    if (this.servers.length > 2 && !this.membership && this.random.chance(0.5)) {
      const leader = this.servers.find(({ raft }) => raft?.role === 'leader')
      const broken = leader ?? this.random.pick(this.servers)
      const isMute = this.random.chance(0.5)
      this.broken = broken.id
      for (const { id } of this.servers) {
        this.#cut.add(`${id}>${broken.id}`)
        if (isMute) this.#cut.add(`${broken.id}>${id}`)
      }
    }
    for (const server of this.servers) {
      server.pausedUntil = 0
      server.slowDisk = false
      this.boot(server)
    }
    this.clients.beginLiveness()
  }

  #describe(): string {
    return this.servers
      .map(({ id, raft, applied }) => {
        if (raft === undefined) return `${id} down`
        const { role, currentTerm, leader, commitIndex, lastIndex } = raft
        return `${id} ${role} t${currentTerm} leader=${leader} c${commitIndex} l${lastIndex} a${applied.index}`
      })
      .join('; ')
  }
}

/** One whole run. Throws, naming the seed, when anything that must hold does not. */
export function runSeed(seed: number, options: RunOptions): RunResult {
  try {
    return new RaftWorld(seed, options).run(options.faultsMs ?? 3000)
  } catch (error) {
    const { size, membership = false, harsh = false } = options
    const text = error instanceof Error ? error.message : String(error)
    throw new Error(
      `seed ${seed}, size ${size}, membership ${membership}, harsh ${harsh}: ${text}`,
      {
        cause: error,
      },
    )
  }
}
