/**
 * Time for simulations: one queue of events in true time, and clocks of processes that run beside it.
 *
 * Nothing happens between two events, and equal times fire in the order in which they were set, so a run is a
 * function of its seed. A process's clock may run fast or slow, start anywhere, be paused (stopped from
 * outside: its monotonic clock goes on), suspended (its monotonic clock stands, `uptime` goes on), or be ended
 * (a crash: none of its timers fires any more).
 */
import assert from 'node:assert/strict'
import type { Clock, Timer } from '../../raft/ports.ts'

/** The least by which a timer of a process lets true time pass. */
const stepMs = 1e-6

interface Event {
  readonly at: number
  readonly order: number
  fire: (() => void) | undefined
}

/** True time of a simulated world, milliseconds from 0. */
export class VirtualTime {
  #now = 0
  #order = 0
  readonly #heap: Event[] = []
  /** Due at once, in the order in which they were set: most of what a process defers. */
  #soon: Event[] = []
  #soonFrom = 0

  get now(): number {
    return this.#now
  }

  /** Events set and not fired, cancelled ones that still stand in the queue included. */
  get pending(): number {
    return this.#heap.length + this.#soon.length - this.#soonFrom
  }

  at(time: number, fire: () => void): Timer {
    const event: Event = { at: Math.max(time, this.#now), order: this.#order++, fire }
    if (event.at > this.#now) this.#push(event)
    else this.#soon.push(event)
    return {
      cancel() {
        event.fire = undefined
      },
    }
  }

  after(ms: number, fire: () => void): Timer {
    return this.at(this.#now + ms, fire)
  }

  /** Fires the next event; false when there is none. */
  step(): boolean {
    for (;;) {
      const event = this.#next()
      if (event === undefined) return false
      if (event === this.#soon[this.#soonFrom]) this.#shift()
      else this.#pop()
      if (event.fire === undefined) continue
      this.#now = event.at
      const { fire } = event
      event.fire = undefined
      fire()
      return true
    }
  }

  /** Fires all that is due within `ms` from now, then stands there. `after` is called after every event. */
  run(ms: number, after?: () => void): void {
    this.runTo(this.#now + ms, after)
  }

  runTo(time: number, after?: () => void): void {
    for (;;) {
      const next = this.#peek()
      if (next === undefined || next.at > time) break
      this.step()
      after?.()
    }
    this.#now = Math.max(this.#now, time)
  }

  /** Runs until `done()` holds, checked after every event; false when `withinMs` pass without. */
  runUntil(done: () => boolean, withinMs: number, after?: () => void): boolean {
    const end = this.#now + withinMs
    while (!done()) {
      const next = this.#peek()
      if (next === undefined || next.at > end) {
        this.#now = Math.max(this.#now, end)
        return done()
      }
      this.step()
      after?.()
    }
    return true
  }

  #peek(): Event | undefined {
    for (;;) {
      const event = this.#next()
      if (event === undefined || event.fire !== undefined) return event
      if (event === this.#soon[this.#soonFrom]) this.#shift()
      else this.#pop()
    }
  }

  #next(): Event | undefined {
    const soon = this.#soon[this.#soonFrom]
    const top = this.#heap[0]
    if (soon === undefined) return top
    return top !== undefined && isBefore(top, soon) ? top : soon
  }

  #shift(): void {
    this.#soonFrom++
    if (this.#soonFrom < this.#soon.length) return
    this.#soon = []
    this.#soonFrom = 0
  }

  #push(event: Event): void {
    const heap = this.#heap
    let index = heap.push(event) - 1
    while (index > 0) {
      const up = (index - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || isBefore(parent, event)) break
      heap[index] = parent
      index = up
    }
    heap[index] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let index = 0
    for (;;) {
      let down = 2 * index + 1
      let child = heap[down]
      if (child === undefined) break
      const right = heap[down + 1]
      if (right !== undefined && isBefore(right, child)) {
        child = right
        down++
      }
      if (isBefore(last, child)) break
      heap[index] = child
      index = down
    }
    heap[index] = last
    return top
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

export interface ClockOptions {
  /** Milliseconds of this clock per true millisecond; 1 within 1 % for an honest clock. */
  readonly rate?: number
  /** What `now()` says at true time 0. */
  readonly origin?: number
  /** What `wall()` says at true time 0. */
  readonly wallOrigin?: number
  /** False: `uptime()` says undefined, as on systems that cannot tell. */
  readonly hasUptime?: boolean
}

/** The clock of one process. */
export class VirtualClock implements Clock {
  readonly #time: VirtualTime
  readonly #rate: number
  readonly #origin: number
  readonly #hasUptime: boolean
  #wallOrigin: number
  #state: 'running' | 'paused' | 'ended' = 'running'
  /** True milliseconds that the monotonic clock stood still. */
  #stoodMs = 0
  #suspendedAt: number | undefined
  readonly #waiting: (() => void)[] = []

  constructor(time: VirtualTime, options: ClockOptions = {}) {
    this.#time = time
    this.#rate = options.rate ?? 1
    this.#origin = options.origin ?? 1_000
    this.#wallOrigin = options.wallOrigin ?? 1_750_000_000_000
    this.#hasUptime = options.hasUptime ?? true
  }

  get running(): boolean {
    return this.#state === 'running'
  }

  now(): number {
    const standing = this.#suspendedAt === undefined ? 0 : this.#time.now - this.#suspendedAt
    return this.#origin + (this.#time.now - this.#stoodMs - standing) * this.#rate
  }

  wall(): number {
    return Math.floor(this.#wallOrigin + this.#time.now * this.#rate)
  }

  uptime(): number | undefined {
    return this.#hasUptime ? this.#origin + this.#time.now * this.#rate : undefined
  }

  after(ms: number, fire: () => void): Timer {
    assert(ms >= 0, 'A timer lies in the future')
    const due = this.now() + ms
    let timer: Timer
    let cancelled = false
    const arm = (): void => {
      if (cancelled) return
      const left = (due - this.now()) / this.#rate
      // Whoever waits for a remainder below what true time can tell apart must see time pass all the same.
      timer = this.#time.after(left > 0 ? Math.max(left, stepMs) : 0, () => {
        if (this.#state === 'ended') return
        if (this.#state === 'paused') this.#waiting.push(arm)
        // The clock stood still meanwhile: the time is not over yet.
        else if (this.now() < due - stepMs) arm()
        else fire()
      })
    }
    arm()
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }

  defer(run: () => void): void {
    this.#time.after(0, () => this.whenRunning(run))
  }

  /** Calls `run` now, or, while the process is paused, when it goes on; never once it has ended. */
  whenRunning(run: () => void): void {
    if (this.#state === 'paused') this.#waiting.push(run)
    else if (this.#state === 'running') run()
  }

  /** Stops the process from outside. `standing`: its monotonic clock stands as well (a suspended host). */
  pause(standing = false): void {
    if (this.#state !== 'running') return
    this.#state = 'paused'
    if (standing) this.#suspendedAt = this.#time.now
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    if (this.#suspendedAt !== undefined) this.#stoodMs += this.#time.now - this.#suspendedAt
    this.#suspendedAt = undefined
    for (const run of this.#waiting.splice(0)) this.#time.after(0, () => this.whenRunning(run))
  }

  /** The process is gone: nothing of it happens any more. */
  end(): void {
    this.#state = 'ended'
    this.#waiting.length = 0
  }

  /** Sets the wall clock ahead (or back) by `ms`. */
  jumpWall(ms: number): void {
    this.#wallOrigin += ms
  }
}
