/**
 * Operators of a simulated cluster: they hand leadership around, and add, promote, demote, remove and replace servers.
 */
import { changed, isJoint, type ConfigurationChange } from '../../raft/core/configuration.ts'
import type { NodeServer } from './node-server.ts'
import type { NodeWorld } from './node-world.ts'
import type { SeededRandom } from './seeded-random.ts'

/** Servers that may be added to a cluster while it runs. */
const maxServers = 9

export class NodeOperators {
  readonly #world: NodeWorld
  changes = 0
  asked = 0
  transfers = 0

  constructor(world: NodeWorld) {
    this.#world = world
  }

  start(): void {
    const { time, options } = this.#world
    time.after(2 * options.settings.electionTimeoutMs, () => {
      this.#heal()
      this.start()
    })
  }

  /** A server that does not know how it voted is removed, added again, and made a voter when it has learned all. */
  #heal(): void {
    const leader = this.#world.servers.find(({ leads }) => leads)
    const { configuration } = leader ?? {}
    if (leader === undefined || configuration === undefined || isJoint(configuration)) return
    for (const { id, raft, running, retired, wasVoter } of this.#world.servers) {
      if (raft?.trust.kind !== 'unknown' || running === undefined || retired) continue
      const { voters, learners } = configuration
      if (voters.includes(id)) {
        if (voters.length > 1) this.ask(leader, { remove: [id] })
        return
      }
      if (!wasVoter) continue
      if (learners.includes(id)) {
        if (raft.trust.cleared === true) this.ask(leader, { voters: [id] })
      } else this.ask(leader, { learners: [id] })
      return
    }
  }

  transfer(random: SeededRandom): void {
    const leader = this.#leader(random)
    const { running } = leader ?? {}
    if (running === undefined) return
    const to = random.chance(0.5) ? random.pick(this.#world.servers).id : undefined
    running.process.enter(() => {
      running.node?.transferLeadership(to, outcome => {
        if (outcome.ok) this.transfers++
      })
    })
  }

  change(random: SeededRandom): void {
    const leader = this.#leader(random)
    const change = leader && this.#draw(leader, random)
    if (leader !== undefined && change !== undefined && this.#isWise(leader, change)) {
      this.ask(leader, change)
    }
  }

  /** They do not leave a cluster with a majority of damaged voters; one that has learned all is as good as new. */
  #isWise({ configuration }: NodeServer, change: ConfigurationChange): boolean {
    if (configuration === undefined || isJoint(configuration)) return false
    const next = changed(configuration, change)
    if (next === undefined) return true
    const lost = next.voters.filter(id => {
      const server = this.#world.servers.find(one => one.id === id)
      const { trust } = server?.raft ?? {}
      const isCleared = trust?.kind === 'unknown' && trust.cleared === true
      return server?.watched.damaged === true && !isCleared
    })
    return lost.length <= Math.floor((next.voters.length - 1) / 2)
  }

  ask({ running }: NodeServer, change: ConfigurationChange): void {
    if (running === undefined) return
    this.asked++
    running.process.enter(() => {
      running.node?.changeConfiguration(change, ({ outcome }) => {
        if (outcome === 'done') this.changes++
      })
    })
  }

  /** Now and then they ask the wrong one. */
  #leader(random: SeededRandom): NodeServer | undefined {
    const { servers } = this.#world
    return random.chance(0.05) ? random.pick(servers) : servers.find(({ leads }) => leads)
  }

  #draw(leader: NodeServer, random: SeededRandom): ConfigurationChange | undefined {
    const { configuration } = leader
    if (configuration === undefined) return undefined
    const { voters, learners } = configuration
    const some = voters.filter(() => random.chance(0.4)).slice(0, voters.length - 1)
    const promoted = learners.filter(() => random.chance(0.8))
    const what = random.next()
    if (what < 0.35 && voters.length + learners.length < 7) {
      const added = this.#newServer()
      return added && { learners: [added.id] }
    }
    // More voters, one for one, all others out at once, one down to a learner, or one out.
    if (what < 0.5) return { voters: promoted }
    if (what < 0.7) return { voters: promoted, remove: some.slice(0, promoted.length) }
    if (what < 0.75 && promoted.length > 1) return { voters: promoted, remove: voters }
    if (what < 0.85 && voters.length > 1) return { learners: some.slice(0, 1) }
    return { remove: [...learners, ...(voters.length > 2 ? some : [])].slice(0, 1) }
  }

  #newServer(): NodeServer | undefined {
    if (this.#world.servers.length >= maxServers) return undefined
    const server = this.#world.addServer()
    server.boot()
    return server
  }
}
