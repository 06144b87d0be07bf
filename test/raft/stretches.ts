/**
 * How long a node keeps the loop at a stretch: its ports with a watch on everything that it does when called back.
 *
 * Whatever runs in a node runs in a timer, after a deferral, on a message, or when the disk has answered; each of
 * these is timed by what it was. Beside what the main thread worked there is what of it was the node's own: the collection
 * of garbage, as the runtime tells of it, is taken out. Neither figure has in it what other processes did meanwhile.
 */
import { openSync, readSync } from 'node:fs'
import { PerformanceObserver } from 'node:perf_hooks'
import type { Database, Disk, Got } from '../../raft/database.ts'
import type { Bus, Clock, Storage } from '../../raft/index.ts'

export interface Stretch {
  count: number
  /** By the clock: the time that other processes had the core is in it. */
  maxMs: number
  /** Of that, how long the main thread could have gone on and got no core. */
  maxWaitMs: number
  /** What the main thread itself worked, the collection of garbage included. */
  maxCpuMs: number
  totalCpuMs: number
  /** So many worked longer than 5 ms. */
  long: number
  /** The same without the collection of garbage. At most: where other processes had the core it may be less. */
  maxOwnMs: number
  longOwn: number
  /** So many are longer even if all that was collected meanwhile was the main thread's work. */
  longSurely: number
}

/** Collections of garbage, by the clock. */
export interface Pauses {
  count: number
  totalMs: number
  maxMs: number
}

/** One that is worth a look. */
interface Noted {
  readonly kind: string
  readonly from: number
  readonly to: number
  readonly cpuMs: number
  readonly waitMs: number
}

/** Of the main thread, since it began. */
interface Spent {
  readonly cpuMs: number
  readonly waitMs: number
}

const boundMs = 5
/** Shorter ones are not told apart. */
const notedMs = 1
/** Of stretches and pauses since the last reset; beyond, they count as before. */
const maxNoted = 20_000

/** Of Linux: what the main thread has worked so far, and waited for a core, in ns. */
const schedule = openSync('/proc/self/schedstat', 'r')
const text = Buffer.alloc(64)

function spent(): Spent {
  // Makes the kernel bring the figures up to date.
  process.cpuUsage()
  const length = readSync(schedule, text, 0, text.length, 0)
  const [cpu, wait] = text.toString('latin1', 0, length).split(' ')
  return { cpuMs: Number(cpu) / 1e6, waitMs: Number(wait) / 1e6 }
}

const nothing: Stretch = {
  ...{ count: 0, maxMs: 0, maxWaitMs: 0, maxCpuMs: 0, totalCpuMs: 0, long: 0 },
  ...{ maxOwnMs: 0, longOwn: 0, longSurely: 0 },
}

export class Stretches {
  #byKind = new Map<string, Stretch>()
  #noted: Noted[] = []
  #pauses: { readonly from: number; readonly to: number }[] = []
  readonly #observer: PerformanceObserver

  constructor() {
    this.#observer = new PerformanceObserver(list => this.#collect(list.getEntries()))
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  #collect(entries: readonly { readonly startTime: number; readonly duration: number }[]): void {
    for (const { startTime, duration } of entries) {
      if (this.#pauses.length >= maxNoted) return
      this.#pauses.push({ from: startTime, to: startTime + duration })
    }
  }

  get figures(): Readonly<Record<string, Stretch>> {
    this.#collect(this.#observer.takeRecords())
    const figures = new Map([...this.#byKind].map(([kind, stretch]) => [kind, { ...stretch }]))
    for (const noted of this.#noted) {
      const stretch = figures.get(noted.kind)
      if (stretch === undefined) continue
      const { mostMs, leastMs } = this.#ownOf(noted)
      stretch.maxOwnMs = Math.max(stretch.maxOwnMs, mostMs)
      if (mostMs > boundMs) stretch.longOwn++
      if (leastMs > boundMs) stretch.longSurely++
    }
    return Object.fromEntries([...figures].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  get pauses(): Pauses {
    const lengths = this.#pauses.map(({ from, to }) => to - from)
    return {
      count: lengths.length,
      totalMs: lengths.reduce((sum, ms) => sum + ms, 0),
      maxMs: lengths.reduce((most, ms) => Math.max(most, ms), 0),
    }
  }

  reset(): void {
    this.#byKind = new Map()
    this.#noted = []
    this.#pauses = []
  }

  time<Result>(kind: string, run: () => Result): Result {
    const from = performance.now()
    const before = spent()
    try {
      return run()
    } finally {
      const { cpuMs, waitMs } = spent()
      const to = performance.now()
      this.#note({
        ...{ kind, from, to },
        ...{ cpuMs: cpuMs - before.cpuMs, waitMs: waitMs - before.waitMs },
      })
    }
  }

  #note(noted: Noted): void {
    const { kind, from, to, cpuMs, waitMs } = noted
    const known = this.#byKind.get(kind) ?? { ...nothing }
    this.#byKind.set(kind, known)
    known.count++
    known.maxMs = Math.max(known.maxMs, to - from)
    known.maxWaitMs = Math.max(known.maxWaitMs, waitMs)
    known.maxCpuMs = Math.max(known.maxCpuMs, cpuMs)
    known.totalCpuMs += cpuMs
    if (cpuMs > boundMs) known.long++
    if (cpuMs < notedMs || this.#noted.length >= maxNoted) {
      known.maxOwnMs = Math.max(known.maxOwnMs, cpuMs)
      if (cpuMs > boundMs) {
        known.longOwn++
        known.longSurely++
      }
    } else this.#noted.push(noted)
  }

  /**
   * What of it was not the collection of garbage: at most all that was worked, and all the time in which nothing was
   * collected; at least what was worked beyond the time of the collections.
   */
  #ownOf({ from, to, cpuMs }: Noted): { readonly mostMs: number; readonly leastMs: number } {
    let collected = 0
    for (const pause of this.#pauses) {
      collected += Math.max(0, Math.min(to, pause.to) - Math.max(from, pause.from))
    }
    return { mostMs: Math.min(cpuMs, to - from - collected), leastMs: cpuMs - collected }
  }

  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      wall: () => clock.wall(),
      uptime: () => clock.uptime(),
      after: (ms, fire) => clock.after(ms, () => this.time('timer', fire)),
      defer: run => clock.defer(() => this.time('deferred', run)),
    }
  }

  bus(bus: Bus): Bus {
    return {
      get inbox() {
        return bus.inbox
      },
      get connected() {
        return bus.connected
      },
      get maxPayload() {
        return bus.maxPayload
      },
      publish: (subject, data, options) => bus.publish(subject, data, options),
      subscribe: (subject, handle, options) =>
        bus.subscribe(
          subject,
          message => this.time(`message ${message.subject.slice(-1)}`, () => handle(message)),
          options,
        ),
      onStatus: handle => bus.onStatus(handle),
    }
  }

  /** The disk below a storage, while that is opened: its database is read and checked part by part. */
  disk(disk: Disk): Disk {
    const open = disk.open.bind(disk)
    return Object.assign(disk, {
      open: ((done): void =>
        open((error, opened) => {
          const { database } = opened ?? {}
          if (opened !== undefined && database !== undefined) {
            done(error, { ...opened, database: this.#database(database) })
          } else done(error, opened)
        })) satisfies Disk['open'],
    })
  }

  #database(database: Database): Database {
    const time =
      <T>(done: Got<T>): Got<T> =>
      (error, value) =>
        this.time('disk is opened', () => done(error, value))
    return {
      batch: (operations, options, done) => database.batch(operations, options, done),
      get: (key, done) => database.get(key, done),
      scan: (range, done) => database.scan(range, time(done)),
      keys: (from, to, done) => database.keys(from, to, time(done)),
    }
  }

  /** `write` and `readChunk` are what the calls take, as parts of what they are called from. */
  storage(storage: Storage): Storage {
    return {
      read: done =>
        storage.read((error, state) => this.time('disk has read', () => done(error, state))),
      write: (batch, done) =>
        this.time('write', () =>
          storage.write(batch, error => this.time('disk has written', () => done(error))),
        ),
      readChunk: (id, chunk, done) =>
        this.time('read chunk', () =>
          storage.readChunk(id, chunk, (error, data) =>
            this.time('disk has a chunk', () => done(error, data)),
          ),
        ),
      condemn: (reason, done) => storage.condemn(reason, done),
      get damage() {
        return storage.damage
      },
      close: done => storage.close(done),
    }
  }
}
