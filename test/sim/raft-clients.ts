/**
 * Those who use the cluster: they propose, read, hand leadership around and change the membership, and remember what
 * they were told.
 */
import assert from 'node:assert/strict'
import type { Effects } from '../../raft/core/effect.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { RaftWorld } from './raft-world.ts'
import type { SimServer } from './raft-server.ts'

interface Taken {
  readonly index: number
  readonly term: number
  lost: boolean
}

export class Clients {
  readonly #world: RaftWorld
  readonly #taken = new Map<number, Taken>()
  /** What was committed anywhere when a read was asked for. */
  readonly #reads = new Map<number, number>()
  readonly #committedTerms = new Map<number, number>()
  #nextId = 1
  readsDone = 0
  changesDone = 0
  #phase: 'busy' | 'quiet' | 'served' = 'busy'
  #goal = 0

  constructor(world: RaftWorld) {
    this.#world = world
    world.time.after(1, () => this.#act())
  }

  #act(): void {
    const { random, time, servers } = this.#world
    const leaders = servers.filter(({ raft }) => raft?.role === 'leader')
    const anyone = leaders.length === 0 || random.chance(0.3)
    if (this.#phase !== 'quiet') this.#ask(random.pick(anyone ? servers : leaders))
    time.after(random.next() * (this.#phase === 'busy' ? 15 : 40), () => this.#act())
  }

  #ask(server: SimServer): void {
    const { random, servers, membership } = this.#world
    const id = this.#nextId++
    const what = random.next()
    if (what < (membership ? 0.5 : 0.7) || this.#phase === 'served') {
      const count = random.between(1, 4)
      const proposals = Array.from({ length: count }, () => {
        const data = new Uint8Array(random.between(4, 60))
        new DataView(data.buffer).setUint32(0, this.#nextId)
        return { id: this.#nextId++, data }
      })
      server.step({ type: 'propose', proposals })
    } else if (what < (membership ? 0.65 : 0.92)) {
      this.#reads.set(id, this.#world.checks.maxCommit)
      server.step({ type: 'read', id })
    } else if (what < (membership ? 0.7 : 0.95)) {
      const to = random.chance(0.5) ? random.pick(servers).id : undefined
      server.step({ type: 'transfer', id, to })
    } else if (membership) this.#changeMembership(server, id)
  }

  #changeMembership(server: SimServer, id: number): void {
    const { random } = this.#world
    const { raft } = server
    if (raft === undefined || raft.role !== 'leader') return
    const { voters, learners } = raft.configuration
    const what = random.next()
    if (what < 0.4) {
      const added = this.#world.addServer()
      if (added === undefined) return
      return server.step({ type: 'changeConfiguration', id, change: { learners: [added.id] } })
    }
    const some = voters.filter(() => random.chance(0.4)).slice(0, voters.length - 1)
    const promoted = learners.filter(() => random.chance(0.7))
    const change =
      what < 0.7
        ? { voters: promoted, remove: some.slice(0, promoted.length) }
        : what < 0.85
          ? { learners: some.slice(0, 1) }
          : { remove: [...learners, ...some].slice(0, 1) }
    if (voters.length > 2) server.step({ type: 'changeConfiguration', id, change })
  }

  hear({ raft }: SimServer, effects: Effects): void {
    assert(raft !== undefined)
    for (const result of effects.proposals) {
      if (result.outcome === 'accepted') {
        const { id, index, term } = result
        assert(!this.#taken.has(id))
        this.#taken.set(id, { index, term, lost: false })
      } else if (result.outcome === 'lost') {
        const taken = this.#taken.get(result.id)
        assert(taken !== undefined && !taken.lost)
        taken.lost = true
      }
    }
    for (const entry of effects.apply) this.#committedTerms.set(entry.index, entry.term)
    if (effects.restore !== undefined) this.#world.snapshotsInstalled += 1
    for (const result of effects.reads) {
      const committed = this.#reads.get(result.id)
      assert(committed !== undefined, 'each read is answered once')
      this.#reads.delete(result.id)
      if (result.outcome === 'refused') continue
      this.readsDone += 1
      assert(result.index >= committed, `stale read: ${result.index} after ${committed}`)
    }
    for (const { outcome } of effects.changes) if (outcome === 'done') this.changesDone += 1
  }

  beginLiveness(): void {
    this.#phase = 'quiet'
  }

  proposeAgain(): void {
    this.#phase = 'served'
    this.#goal = this.#world.checks.maxCommit + 3
  }

  /** Whether, with nothing new proposed, a leader commits all it has and all members apply it. */
  hasSettled(): boolean {
    const leader = this.#leader()
    return leader !== undefined && this.#isAppliedBy(leader, leader.lastIndex)
  }

  /** Whether something proposed after the faults ended is committed, and applied by all members. */
  isServed(): boolean {
    const leader = this.#leader()
    return leader !== undefined && this.#isAppliedBy(leader, this.#goal)
  }

  #leader(): Raft | undefined {
    const { servers, broken } = this.#world
    return servers.find(({ raft, id }) => raft?.ready === true && id !== broken)?.raft
  }

  #isAppliedBy({ configuration }: Raft, index: number): boolean {
    const { servers, broken } = this.#world
    const { voters, outgoing, learners } = configuration
    if (outgoing.length > 0) return false
    return [...voters, ...learners].every(
      id =>
        id === broken || servers.some(server => server.id === id && server.applied.index >= index),
    )
  }

  /** What was called lost was not committed in its place. */
  settle(): void {
    for (const { index, term, lost } of this.#taken.values()) {
      if (lost) assert.notEqual(this.#committedTerms.get(index), term, `lost, but at ${index}`)
    }
  }
}
