/**
 * The disk of one simulated process: the ports below a store, over a medium that outlives it.
 *
 * It is late, slow, stalled, full or failing; a crash leaves of each write under way all or nothing (of a slot, half).
 * Whatever it reports done is on the medium, except after it was full: then LevelDB goes on to acknowledge what it
 * does not keep.
 */
import {
  slotBytes,
  type BatchOptions,
  type Database,
  type Disk,
  type Done,
  type Got,
  type Marker,
  type Operation,
  type Pair,
  type SlotFile,
} from '../../raft/database.ts'
import { RaftError } from '../../raft/error.ts'
import { chunkOf } from '../../raft/store-layout.ts'
import type { Medium, SlotPair } from './faulty-medium.ts'
import type { SimProcess } from './node-process.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualTime } from './virtual-clock.ts'

/** What is wrong with a disk now, whoever runs on it. */
export interface DiskState {
  /** Times the usual. */
  slowness: number
  stalled: boolean
  error: 'full' | 'failing' | undefined
  /** Almost full. */
  low: boolean
}

export interface FaultyDiskOptions {
  readonly medium: Medium
  readonly state: DiskState
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly process: SimProcess
  /** Of a write or a read, in ms. */
  readonly latencyMs: readonly [number, number]
  readonly onDone: () => void
}

const texts = { full: 'No space left on device.', failing: 'Input/output error.' }

export class FaultyDisk implements Disk {
  readonly vote: SlotFile
  readonly mark: SlotFile
  readonly marker: Marker
  readonly #options: FaultyDiskOptions
  /** What a crash does with each write under way. */
  readonly #pending = new Set<() => void>()
  #held: (() => void)[] = []
  /** What the database gives now. */
  #live = new Map<string, Buffer>()
  /** Once it was full: what is acknowledged is not kept. */
  #lies = false

  constructor(options: FaultyDiskOptions) {
    this.#options = options
    this.vote = this.#slots(options.medium.vote)
    this.mark = this.#slots(options.medium.mark)
    this.marker = this.#marker()
  }

  open(done: Got<{ database: Database | undefined; evidence: string[] }>): void {
    const { medium } = this.#options
    this.#do(error => {
      if (error !== undefined) done(error)
      else if (!medium.hasCurrent) {
        done(undefined, { database: undefined, evidence: ['the file CURRENT is missing'] })
      } else {
        this.#live = medium.replay()
        done(undefined, { database: this.#database(), evidence: [...medium.evidence] })
      }
    })
  }

  listAside(done: Got<readonly number[]>): void {
    this.#do(error => done(error, [...this.#options.medium.aside]))
  }

  setAside(aside: number, done: Done): void {
    const { medium } = this.#options
    const move = (): void => {
      if (medium.isThere) medium.aside.push(aside)
      medium.clear()
    }
    this.#write(move, move, done)
  }

  freeBytes(done: (bytes: number) => void): void {
    this.#do(error => {
      if (error === undefined) done(this.#options.state.low ? 1_000_000 : 1_000_000_000)
    })
  }

  later(run: () => void): void {
    this.#options.process.clock.defer(run)
  }

  close(done: () => void): void {
    this.later(done)
  }

  /** Of what is under way, each is done or not. */
  crash(): void {
    const { random } = this.#options
    for (const finish of this.#pending) if (random.chance(0.5)) finish()
    this.#pending.clear()
    this.#held = []
  }

  /** It no longer stands still. */
  resume(): void {
    for (const run of this.#held.splice(0)) run()
  }

  /** What is on the medium now is what it gives. */
  spoil(key: string): void {
    const value = this.#options.medium.table.get(key)
    if (value !== undefined && this.#live.has(key)) this.#live.set(key, value)
  }

  /** Snapshots of which there is a chunk. */
  get snapshotIds(): ReadonlySet<string> {
    const owners = [...this.#live.keys()].map(key => chunkOf(Buffer.from(key, 'latin1')))
    return new Set(owners.flatMap(owner => (owner === undefined ? [] : [owner.snapshotId])))
  }

  #database(): Database {
    const { medium } = this.#options
    const inRange = (from: Buffer, to: Buffer): string[] => {
      const [low, high] = [from.toString('latin1'), to.toString('latin1')]
      return [...this.#live.keys()].filter(key => key >= low && key < high).sort()
    }
    const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1')
    return {
      batch: (operations, options, done) => this.#batch(operations, options, done),
      get: (key, done) => {
        this.#do(error => {
          if (error !== undefined) done(error)
          else done(undefined, this.#live.get(key.toString('latin1')))
        })
      },
      scan: ({ from, to, limit }, done) => {
        this.#do(error => {
          const keys = inRange(from, to).slice(0, limit)
          const pairs = keys.map((key): Pair => {
            return [bytesOf(key), this.#live.get(key) ?? Buffer.alloc(0)]
          })
          done(error, pairs)
        })
      },
      keys: (from, to, done) => {
        this.#do(error => done(error, medium.isThere ? inRange(from, to).map(bytesOf) : []))
      },
    }
  }

  #batch(operations: readonly Operation[], options: BatchOptions, done: Done): void {
    const { medium } = this.#options
    const keep = (): void => {
      if (this.#lies) medium.evidence.push('dropping 32768 bytes')
      else medium.append(operations, options)
    }
    this.#write(keep, keep, failed => {
      const error = this.#lies ? undefined : failed
      // LevelDB tells of the first write that finds no space, and of no later one.
      if (error !== undefined && this.#options.state.error === 'full') this.#lies = true
      if (error === undefined) {
        for (const operation of operations) {
          const key = operation.key.toString('latin1')
          if (operation.type === 'put') this.#live.set(key, operation.value)
          else this.#live.delete(key)
        }
      }
      done(error)
    })
  }

  #slots(pair: SlotPair): SlotFile {
    return {
      read: done => this.#do(error => done(error, Buffer.from(pair.bytes))),
      write: (slot, bytes, done) => {
        const tear = (): void => pair.tear(slot, bytes, this.#options.random)
        if (bytes.length !== slotBytes) throw new Error('A slot is written whole.')
        this.#write(() => pair.write(slot, bytes), tear, done)
      },
    }
  }

  #marker(): Marker {
    const { medium } = this.#options
    const put = (text: string | undefined) => (): void => {
      medium.marker = text
    }
    return {
      read: done => this.#do(error => done(error, medium.marker)),
      write: (text, done) => this.#write(put(text), put(text), done),
      remove: (_aside, done) => this.#write(put(undefined), put(undefined), done),
    }
  }

  /** `keep` puts it on the medium; `tear` is what a crash may make of it. */
  #write(keep: () => void, tear: () => void, done: Done): void {
    if (!this.#options.process.ask()) return
    this.#pending.add(tear)
    this.#do(error => {
      if (error === undefined) keep()
      done(error)
    }, tear)
  }

  /** Asks the disk; `tear` is no longer to be done when it answers. */
  #do(answer: Done, tear?: () => void): void {
    const { time, random, latencyMs, state, process, onDone } = this.#options
    const [low, high] = latencyMs
    const finish = (): void => {
      if (!process.alive) return
      if (state.stalled) {
        this.#held.push(finish)
        return
      }
      process.enter(() => {
        if (tear !== undefined) this.#pending.delete(tear)
        onDone()
        answer(this.#errorNow(tear !== undefined))
      })
    }
    time.after((low + random.next() * (high - low)) * state.slowness, finish)
  }

  #errorNow(isWrite: boolean): RaftError | undefined {
    const { error } = this.#options.state
    if (error === undefined || (error === 'full' && !isWrite)) return undefined
    return new RaftError('RAFT_STORAGE', texts[error])
  }
}
