/**
 * Another cluster on the same broker, with the same subjects and the same names of servers: a pool that was restored
 * beside the old one, or a test of somebody's. It is well, has leaders, terms and entries of its own, and all that it says
 * reaches the servers of the first cluster too.
 *
 * Neither may heed a word of the other (design: a cluster's number is part of every message).
 */
import assert from 'node:assert/strict'
import { configurationOf } from '../../raft/core/configuration.ts'
import { startNode } from '../../raft/driver.ts'
import { memoryStorage } from '../../raft/memory-storage.ts'
import type { RaftNode } from '../../raft/node.ts'
import { silentLogger } from '../../raft/ports.ts'
import type { StateMachine } from '../../raft/state-machine.ts'
import type { SimBus } from './node-network.ts'
import { SimProcess } from './node-process.ts'
import type { NodeWorld } from './node-world.ts'
import type { SeededRandom } from './seeded-random.ts'

interface Stranger {
  readonly process: SimProcess
  readonly bus: SimBus
  readonly node: RaftNode
}

/** Between two commands of theirs, in ms. */
const pauseMs = 60

export class Strangers {
  readonly #world: NodeWorld
  #all: Stranger[] = []
  #runs = 0

  constructor(world: NodeWorld) {
    this.#world = world
  }

  /** Its servers bear the names of the first ones here; its term is whatever its life has made of it. */
  come(random: SeededRandom): void {
    if (this.#all.length > 0) return
    const { servers, checks } = this.#world
    const ids = servers.slice(0, random.between(1, 3)).map(({ id }) => id)
    const term = random.between(1, checks.maxTerm + 5)
    this.#runs++
    this.#all = ids.map(id => this.#start(id, ids, term, random.split(id)))
    this.#ask(random, this.#runs)
  }

  go(): void {
    for (const { process, bus } of this.#all) {
      process.kill()
      this.#world.network.forget(bus)
    }
    this.#all = []
  }

  #start(id: string, ids: readonly string[], term: number, random: SeededRandom): Stranger {
    const { time, network, options } = this.#world
    const process = new SimProcess({ time, rate: 1, napMs: 0, count: () => {}, onDeath: () => {} })
    const bus = network.connect(id, process, this.#runs, 'strangers')
    const schedule = (run: () => void): void => {
      time.after(1, () => process.enter(run))
    }
    const storage = memoryStorage({ schedule })
    const configuration = configurationOf(ids)
    storage.write(
      {
        persists: [
          {
            ...{ seq: 1, currentTerm: term, votedFor: undefined, trust: { kind: 'full' } },
            entries: [{ kind: 'configuration', index: 1, term: 1, configuration }],
          },
        ],
      },
      error => assert.equal(error, undefined),
    )
    const { settings } = options
    const { clock } = process
    const node = startNode({
      ...{ id, cluster: 'sim', genesis: 'another', settings, storage, bus, clock, random },
      ...{ machine: deafMachine, log: silentLogger, snapshotEveryEntries: 30 },
    })
    node.onFatal(error => this.#world.fail(error))
    return { process, bus, node }
  }

  #ask(random: SeededRandom, run: number): void {
    this.#world.time.after(random.next() * 2 * pauseMs, () => {
      if (run !== this.#runs || this.#all.length === 0) return
      const { process, node } = random.pick(this.#all)
      process.enter(() => node.propose(new Uint8Array(random.between(1, 40))))
      this.#ask(random, run)
    })
  }
}

/** What it does with its commands is its own affair. */
const deafMachine: StateMachine = {
  apply() {},
  snapshot: () => [new Uint8Array(1)].values(),
  restore: () => ({ slice() {}, end() {} }),
}
