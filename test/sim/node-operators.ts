/**
 * Operators of a simulated cluster: they hand leadership around, and add, promote, demote, remove and replace servers.
 */
import type { ConfigurationChange } from '../../raft/core/configuration.ts'
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

  transfer(random: SeededRandom): void {
    const leader = this.#leader(random)
    const { running } = leader ?? {}
    if (running === undefined) return
    const to = random.chance(0.5) ? random.pick(this.#world.servers).id : undefined
    running.process.enter(() => {
      running.node.transferLeadership(to, outcome => {
        if (outcome.ok) this.transfers++
      })
    })
  }

  change(random: SeededRandom): void {
    const leader = this.#leader(random)
    const change = leader && this.#draw(leader, random)
    if (leader !== undefined && change !== undefined) this.ask(leader, change)
  }

  ask({ running }: NodeServer, change: ConfigurationChange): void {
    if (running === undefined) return
    this.asked++
    running.process.enter(() => {
      running.node.changeConfiguration(change, ({ outcome }) => {
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
