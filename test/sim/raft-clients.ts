/**
 * Those who use the cluster: they propose, read, hand leadership around and change the membership, and remember what
 * they were told.
 */
import assert from 'node:assert/strict'
import type { Effects } from '../../raft/core/effect.ts'
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
  #live = false
  #goal: number | undefined

  constructor(world: RaftWorld) {
    this.#world = world
    world.time.after(1, () => this.#act())
  }

  #act(): void {
    const { random, time, servers } = this.#world
    const leader = servers.find(({ raft }) => raft?.role === 'leader')
    const server = leader !== undefined && random.chance(0.7) ? leader : random.pick(servers)
    this.#ask(server)
    time.after(random.next() * (this.#live ? 40 : 15), () => this.#act())
  }

  #ask(server: SimServer): void {
    const { random, servers, membership } = this.#world
    const id = this.#nextId++
    const what = random.next()
    if (what < 0.7 || this.#live) {
      const count = random.between(1, 4)
      const proposals = Array.from({ length: count }, () => {
        const data = new Uint8Array(random.between(4, 60))
        new DataView(data.buffer).setUint32(0, this.#nextId)
        return { id: this.#nextId++, data }
      })
      server.step({ type: 'propose', proposals })
    } else if (what < 0.92) {
      this.#reads.set(id, this.#world.checks.maxCommit)
      server.step({ type: 'read', id })
    } else if (what < 0.95) {
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
    if (what < 0.3) {
      const added = this.#world.addServer()
      if (added === undefined) return
      return server.step({ type: 'changeConfiguration', id, change: { learners: [added.id] } })
    }
    const voter = random.pick(voters)
    const learner = learners.length > 0 ? random.pick(learners) : undefined
    const change =
      what < 0.6 && learner !== undefined
        ? { voters: [learner], ...(random.chance(0.5) && { remove: [voter] }) }
        : what < 0.8
          ? { learners: [voter] }
          : { remove: [learner ?? voter] }
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
    this.#live = true
  }

  /** Whether something proposed after the faults ended is committed, and applied by all members. */
  isServed(): boolean {
    const { servers, checks, time } = this.#world
    void time
    this.#goal ??= checks.maxCommit + 3
    const leader = servers.find(({ raft }) => raft?.ready === true)?.raft
    if (leader === undefined || checks.maxCommit < this.#goal) return false
    const { voters, outgoing, learners } = leader.configuration
    if (outgoing.length > 0) return false
    const goal = this.#goal
    return [...voters, ...learners].every(id =>
      servers.some(server => server.id === id && server.applied.index >= goal),
    )
  }

  /** What was called lost was not committed in its place. */
  settle(): void {
    for (const { index, term, lost } of this.#taken.values()) {
      if (lost) assert.notEqual(this.#committedTerms.get(index), term, `lost, but at ${index}`)
    }
  }
}
