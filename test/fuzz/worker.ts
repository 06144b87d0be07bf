/**
 * The thread in which cases are read: it may run out of memory or never come back, and whoever watches it tells.
 *
 * It writes the number of the case before each, so that a case that never ends is known.
 */
import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { fuzz, type FuzzOptions } from './fuzz.ts'
import { targets } from './targets.ts'

export interface Orders extends Omit<FuzzOptions, 'beat'> {
  readonly target: string
}

const port = parentPort
assert(port !== null, 'a worker thread')
/** One number: the case under way. */
const under = new Int32Array(workerData as SharedArrayBuffer)

port.on('message', ({ target: name, ...options }: Orders) => {
  const found = targets.find(target => target.name === name)
  assert(found !== undefined, `a target is called ${name}`)
  const beat = (number: number): void => void Atomics.store(under, 0, number)
  void fuzz(found, { ...options, beat }).then(tally => port.postMessage(tally))
})
