/**
 * The disk of a simulated server below its store: late, slow, stalled, full or failing.
 */
import type { RaftError } from '../../raft/error.ts'
import { memoryDisk, memoryStorage } from '../../raft/memory-storage.ts'
import type { Storage } from '../../raft/storage.ts'
import type { SimProcess } from './node-process.ts'
import type { NodeWorld } from './node-world.ts'
import type { SeededRandom } from './seeded-random.ts'

export class SimDisk {
  readonly #world: NodeWorld
  readonly #random: SeededRandom
  readonly #disk = memoryDisk()
  #pending: (() => void) | undefined
  /** Times the usual. */
  slowness = 1
  stalled = false
  #held: (() => void)[] = []
  error: RaftError | undefined

  constructor(world: NodeWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
  }

  open(process: SimProcess): Storage {
    const schedule = (run: () => void): void => this.#later(process, run)
    const storage = memoryStorage({ disk: this.#disk, schedule })
    return {
      ...storage,
      write: (batch, done) => {
        const { error } = this
        if (error !== undefined) {
          this.#later(process, () => done(error))
          return
        }
        storage.write(batch, done)
      },
    }
  }

  /** Before any process runs on it. */
  prepare(): Storage {
    return memoryStorage({ disk: this.#disk, schedule: run => this.#world.time.after(0, run) })
  }

  /** Of a write under way all or nothing happened. */
  crash(): void {
    const pending = this.#pending
    this.#pending = undefined
    this.#held = []
    this.stalled = false
    if (this.#random.chance(0.5)) pending?.()
  }

  /** As good as new. */
  calm(): void {
    this.slowness = 1
    this.error = undefined
    this.resume()
  }

  resume(): void {
    this.stalled = false
    for (const run of this.#held.splice(0)) this.#world.time.after(0, run)
  }

  #later(process: SimProcess, run: () => void): void {
    const [low, high] = this.#world.options.diskMs
    const ms = (low + this.#random.next() * (high - low)) * this.slowness
    const finish = (): void => {
      if (!process.alive) return
      if (this.stalled) {
        this.#held.push(finish)
        return
      }
      if (this.#pending === run) this.#pending = undefined
      process.enter(() => {
        this.#world.count('disk')
        run()
      })
    }
    this.#pending = run
    this.#world.time.after(ms, finish)
  }
}
