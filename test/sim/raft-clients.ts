/**
 * Those who use the cluster: they propose, read, hand leadership around and change the membership, and remember what
 * they were told.
 */
import assert from 'node:assert/strict'
import type { ConfigurationChange } from '../../raft/core/configuration.ts'
import type { Effects } from '../../raft/core/effect.ts'
import type { Raft } from '../../raft/core/raft.ts'
import { ProposalFate } from '../../raft/fate.ts'
import type { RaftWorld } from './raft-world.ts'
import type { SimServer } from './raft-server.ts'

interface Taken {
  readonly index: number
  readonly term: number
  lost: boolean
}

/** One of them goes on asking the same server, until that is down or refuses. */
interface Client {
  at: SimServer
}

export class Clients {
  readonly #world: RaftWorld
  readonly #clients: Client[] = []
  readonly #fates = new WeakMap<Raft, ProposalFate>()
  readonly #taken = new Map<number, Taken>()
  /** At each server, by its run, what its callers wait for. */
  readonly #open = new Map<SimServer, { readonly raft: Raft; readonly taken: Map<number, Taken> }>()
  /** What was committed anywhere when a read was asked for. */
  readonly #reads = new Map<number, number>()
  readonly #committedTerms = new Map<number, number>()
  #nextId = 1
  readsDone = 0
  changesDone = 0
  #phase: 'busy' | 'quiet' | 'served' = 'busy'
  #goal = 0
  #restsUntil = 0

  constructor(world: RaftWorld) {
    this.#world = world
    for (let n = 0; n < world.swarm.clients; n++) {
      const client = { at: world.random.pick(world.servers) }
      this.#clients.push(client)
      world.time.after(1, () => this.#act(client))
    }
  }

  #act(client: Client): void {
    const { random, time, servers, swarm } = this.#world
    const { raft } = client.at
    if (raft === undefined || random.chance(raft.role === 'leader' ? 0.03 : 0.3)) {
      const leaders = servers.filter(server => server.raft?.role === 'leader')
      const anyone = leaders.length === 0 || random.chance(0.3)
      client.at = random.pick(anyone ? servers : leaders)
    }
    const rests = this.#phase === 'busy' && time.now < this.#restsUntil
    if (this.#phase !== 'quiet' && !rests) this.#ask(client.at)
    const pause = this.#phase === 'busy' ? swarm.pauseMs : 40
    time.after(random.next() * pause, () => this.#act(client))
  }

  /** Nobody asks for anything for so many ms. */
  rest(ms: number): void {
    this.#restsUntil = this.#world.time.now + ms
  }

  /** They all turn to one server, and go on so while it lives. */
  crowdAt(server: SimServer): void {
    for (const client of this.#clients) client.at = server
  }

  transfer(leader: SimServer): void {
    const { random, servers } = this.#world
    const to = random.chance(0.5) ? random.pick(servers).id : undefined
    leader.step({ type: 'transfer', id: this.#nextId++, to })
  }

  change(leader: SimServer, change: ConfigurationChange): void {
    leader.step({ type: 'changeConfiguration', id: this.#nextId++, change })
  }

  #ask(server: SimServer): void {
    const { random, swarm } = this.#world
    const { membership } = swarm
    const what = random.next()
    if (what < (membership ? 0.5 : 0.6) || this.#phase === 'served') {
      const count = random.between(1, 4)
      const proposals = Array.from({ length: count }, () => {
        const data = new Uint8Array(random.between(4, 60))
        new DataView(data.buffer).setUint32(0, this.#nextId)
        const id = this.#nextId++
        return { id, data, patient: id % 2 === 0 }
      })
      server.step({ type: 'propose', proposals })
    } else if (what < (membership ? 0.7 : 0.96)) {
      const id = this.#nextId++
      this.#reads.set(id, this.#world.checks.maxCommit)
      server.step({ type: 'read', id })
    } else if (what < (membership ? 0.73 : 1)) {
      this.transfer(server)
    } else if (membership) this.#changeMembership(server, this.#nextId++)
  }

  #changeMembership(server: SimServer, id: number): void {
    const { random } = this.#world
    const { raft } = server
    if (raft === undefined || raft.role !== 'leader') return
    const { voters, learners } = raft.configuration
    const what = random.next()
    if (what < 0.4 && learners.length < 2) {
      const added = this.#world.addServer()
      if (added === undefined) return
      server.step({ type: 'changeConfiguration', id, change: { learners: [added.id] } })
      return
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

  hear(server: SimServer, effects: Effects): void {
    const { raft } = server
    assert(raft !== undefined)
    const open = this.#openAt(server, raft)
    const fate = this.#fates.get(raft) ?? new ProposalFate()
    this.#fates.set(raft, fate)
    for (const result of [...effects.proposals, ...fate.after(effects)]) {
      if (result.outcome === 'accepted') {
        const { id, index, term } = result
        assert(!this.#taken.has(id))
        const taken = { index, term, lost: false }
        this.#taken.set(id, taken)
        open.set(id, taken)
      } else if (result.outcome !== 'refused') {
        const taken = this.#taken.get(result.id)
        assert(taken !== undefined && !taken.lost)
        taken.lost = result.outcome === 'lost'
        open.delete(result.id)
      }
    }
    this.#assertProposed(raft, effects)
    settleApplied(open, effects)
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

  #openAt(server: SimServer, raft: Raft): Map<number, Taken> {
    const known = this.#open.get(server)
    if (known?.raft === raft) return known.taken
    const taken = new Map<number, Taken>()
    this.#open.set(server, { raft, taken })
    return taken
  }

  /** A leader appends what it was asked for, each once, where it said. */
  #assertProposed({ role, currentTerm }: Raft, { persist }: Effects): void {
    if (role !== 'leader') return
    for (const entry of persist?.entries ?? []) {
      if (entry.kind !== 'command' || entry.term !== currentTerm) continue
      const { data, index } = entry
      const id = data.length < 4 ? 0 : new DataView(data.buffer, data.byteOffset).getUint32(0)
      const taken = this.#taken.get(id)
      const isIt = taken?.index === index && taken.term === currentTerm
      assert(isIt, `nobody proposed what stands at ${index} in term ${currentTerm}`)
    }
  }

  beBusy(): void {
    this.#phase = 'busy'
  }

  beQuiet(): void {
    this.#phase = 'quiet'
  }

  proposeAgain(): void {
    this.#phase = 'served'
    this.#goal = this.#world.checks.maxCommit + 3
  }

  /** Whether, with nothing new proposed, a leader commits all it has and all members apply it. */
  hasSettled(outcast: string | undefined): boolean {
    const leader = this.leader(outcast)
    return leader !== undefined && this.#isAppliedBy(leader, leader.lastIndex, outcast)
  }

  /** Whether something proposed after the faults ended is committed, and applied by all members. */
  isServed(outcast: string | undefined): boolean {
    const leader = this.leader(outcast)
    return leader !== undefined && this.#isAppliedBy(leader, this.#goal, outcast)
  }

  leader(outcast: string | undefined): Raft | undefined {
    const { servers } = this.#world
    return servers.find(({ raft, id }) => raft?.ready === true && id !== outcast)?.raft
  }

  #isAppliedBy({ configuration }: Raft, index: number, outcast: string | undefined): boolean {
    const { voters, outgoing, learners } = configuration
    if (outgoing.length > 0) return false
    return [...voters, ...learners].every(
      id => id === outcast || (this.#world.find(id)?.applied.index ?? 0) >= index,
    )
  }

  /** What was called lost was not committed in its place. */
  settle(): void {
    for (const { index, term, lost } of this.#taken.values()) {
      if (lost) assert.notEqual(this.#committedTerms.get(index), term, `lost, but at ${index}`)
    }
  }
}

/** Whoever proposed hears what became of it when a committed entry stands in its place; a snapshot may hide it. */
function settleApplied(open: Map<number, Taken>, { apply, restore }: Effects): void {
  const first = apply[0]?.index ?? Infinity
  const last = Math.max(apply.at(-1)?.index ?? 0, restore?.lastIncludedIndex ?? 0)
  for (const [id, { index, term }] of open) {
    if (index > last) continue
    const isThere = index >= first && apply[index - first]?.term === term
    assert(isThere, `the caller of ${id}, taken at ${index} in term ${term}, hears nothing`)
    open.delete(id)
  }
}
