/**
 * How long a node keeps the loop at a stretch: its ports with a watch on everything that it does when called back.
 *
 * Whatever runs in a node runs in a timer, after a deferral, on a message, or when the disk has answered; each of
 * these is timed by what it was. What the process did not do itself (other processes on its core, the collection of
 * garbage) is in the figures.
 */
import { openSync, readSync } from 'node:fs'
import type { Bus, Clock, Storage } from '../../raft/index.ts'

export interface Stretch {
  count: number
  /** By the clock: the time that other processes had the core is in it. */
  totalMs: number
  maxMs: number
  /** What the main thread itself worked, the collection of garbage included. */
  maxCpuMs: number
  /** So many worked longer than 5 ms. */
  long: number
}

/** Of Linux: what the main thread has worked so far, in ns, is its first figure. */
const schedule = openSync('/proc/self/schedstat', 'r')
const text = Buffer.alloc(64)

function cpuMs(): number {
  // Makes the kernel bring the figure up to date.
  process.cpuUsage()
  const length = readSync(schedule, text, 0, text.length, 0)
  return Number(text.toString('latin1', 0, length).split(' ')[0]) / 1e6
}

export class Stretches {
  #byKind = new Map<string, Stretch>()

  get figures(): Readonly<Record<string, Stretch>> {
    return Object.fromEntries([...this.#byKind].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  reset(): void {
    this.#byKind = new Map()
  }

  time<Result>(kind: string, run: () => Result): Result {
    const from = performance.now()
    const worked = cpuMs()
    try {
      return run()
    } finally {
      this.#note(kind, performance.now() - from, cpuMs() - worked)
    }
  }

  #note(kind: string, ms: number, ofCpuMs: number): void {
    const none = { count: 0, totalMs: 0, maxMs: 0, maxCpuMs: 0, long: 0 }
    const known = this.#byKind.get(kind) ?? none
    this.#byKind.set(kind, known)
    known.count++
    known.totalMs += ms
    known.maxMs = Math.max(known.maxMs, ms)
    known.maxCpuMs = Math.max(known.maxCpuMs, ofCpuMs)
    if (ofCpuMs > 5) known.long++
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
