/**
 * Fuzzes targets in a thread with a bound on its memory, and watches it: a case that does not end, or that ends the
 * thread, is a finding as well. The next target then gets a new thread.
 */
import { Worker } from 'node:worker_threads'
import type { Tally } from './fuzz.ts'
import type { Orders } from './worker.ts'

/** A thread that needs more for cases of at most 300 KiB, read one at a time, is out of bounds. */
const heapMb = 256
/** So much of the processor's time for one case is never: a machine that is busy, or stops this process, gives none. */
const stuckMs = 60_000
/** Nor does one wait so many beats, seconds in which this process ran, for what does not come. */
const stuckBeats = 600

export class Hunter implements AsyncDisposable {
  readonly #beat = new SharedArrayBuffer(4)
  #worker: Worker | undefined

  hunt(orders: Orders): Promise<Tally> {
    const under = new Int32Array(this.#beat)
    const worker = this.#thread()
    const { target, seed, from } = orders
    const failed = (what: string): Tally => {
      const number = Atomics.load(under, 0)
      const finding = { target, seed, number, what, bytes: '' }
      return { target, cases: number - from, accepted: 0, slowestMs: 0, slowestBytes: 0, finding }
    }
    Atomics.store(under, 0, from)
    return new Promise(resolve => {
      const finish = (tally: Tally): void => {
        clearInterval(watch)
        worker.off('message', finish).off('error', fail).off('exit', end)
        resolve(tally)
      }
      const lose = (what: string): void => {
        this.#worker = undefined
        finish(failed(what))
        // What it still has to say is known.
        worker.once('error', () => undefined)
        void worker.terminate()
      }
      const fail = (error: Error): void => lose(error.stack ?? error.message)
      const end = (code: number): void => lose(`the thread ended with ${code}`)
      let seen = -1
      let beats = 0
      let used = usedMs()
      const watch = setInterval(() => {
        const number = Atomics.load(under, 0)
        if (number !== seen) {
          seen = number
          beats = 0
          used = usedMs()
        } else if (usedMs() - used > stuckMs) lose(`the case does not end within ${stuckMs} ms`)
        else if (++beats > stuckBeats) lose(`the case waits for ${stuckBeats} s`)
      }, 1_000)
      worker.once('message', finish).once('error', fail).once('exit', end)
      worker.postMessage(orders)
    })
  }

  #thread(): Worker {
    this.#worker ??= new Worker(new URL('./worker.js', import.meta.url), {
      workerData: this.#beat,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    })
    return this.#worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
  }
}

/** Time of the processor that this process and its threads have used, milliseconds. */
export function usedMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
