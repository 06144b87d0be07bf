/**
 * One run of a simulated server process: its clock, and the gate through which everything reaches it.
 *
 * A process may be paused (its clock goes on), suspended (its monotonic clock stands), slow (whatever it handles takes
 * time), or dead. A fuse kills it at the n-th thing that it asks of the world from now on: between any two effects
 * of one step, since each message, write, timer and deferred call is one.
 *
 * Invariant: what comes in is handled in the order in which it came; a dead process neither hears nor does anything,
 * though the step that killed it runs to its end.
 */
import type { Clock, Timer } from '../../raft/ports.ts'
import type { VirtualTime } from './virtual-clock.ts'

export type EventKind = 'message' | 'disk' | 'timer' | 'fault'

export interface ProcessOptions {
  readonly time: VirtualTime
  /** Milliseconds of its clock per true one. */
  readonly rate: number
  readonly count: (kind: EventKind) => void
  /** A suspension up to so long, in true ms, may pass unnoticed. */
  readonly napMs: number
  /** It died by its fuse. */
  readonly onDeath: () => void
}

/** What waits while a process does not run; beyond it the oldest go, as a socket that nobody reads is closed. */
const maxWaiting = 20_000

export class SimProcess {
  readonly clock: Clock
  readonly #options: ProcessOptions
  readonly #waiting: (() => void)[] = []
  #alive = true
  #paused = false
  #busy = false
  /** Ms that it takes over anything it handles. */
  slowMs = 0
  /** How often it took something in. */
  turns = 0
  /** When last anything had to wait for it, or its clock went otherwise than time, in true ms. */
  disturbedAt = -Infinity
  /** True ms of naps: it stood still, clock and all, for no longer than nobody would notice. */
  nappedMs = 0
  #fuse = Infinity
  #jumpedMs = 0
  #stoodMs = 0
  #suspendedAt: number | undefined
  #wallJumpMs = 0

  constructor(options: ProcessOptions) {
    this.#options = options
    this.clock = this.#makeClock()
  }

  get alive(): boolean {
    return this.#alive
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Takes something in: now, or when it can. */
  enter(run: () => void): void {
    if (!this.#alive) return
    if (this.#paused || this.#busy || this.#waiting.length > 0) {
      this.#waiting.push(run)
      this.disturbedAt = this.#options.time.now
      if (this.#waiting.length > maxWaiting) this.#waiting.shift()
    } else this.#handle(run)
  }

  /** It asks something of the world. False: it is dead, and nothing happens. */
  ask(): boolean {
    if (!this.#alive) return false
    this.#fuse -= 1
    if (this.#fuse > 0) return true
    this.kill()
    this.#options.onDeath()
    return false
  }

  light(fuse: number): void {
    this.#fuse = fuse
  }

  kill(): void {
    this.#alive = false
    this.#waiting.length = 0
  }

  pause(standing: boolean): void {
    if (this.#paused) return
    this.#paused = true
    if (standing) this.#suspendedAt = this.#options.time.now
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.disturbedAt = this.#options.time.now
    if (this.#suspendedAt !== undefined) {
      const stood = this.#options.time.now - this.#suspendedAt
      this.#stoodMs += stood
      if (stood < this.#options.napMs) this.nappedMs += stood
    }
    this.#suspendedAt = undefined
    this.#drainLater(0)
  }

  /** Its monotonic clock leaps ahead, its wall clock anywhere. */
  jump(monotonicMs: number, wallMs: number): void {
    this.#jumpedMs += monotonicMs
    this.disturbedAt = this.#options.time.now
    this.#wallJumpMs += wallMs
  }

  #handle(run: () => void): void {
    this.turns++
    run()
    if (this.slowMs === 0 || !this.#alive) return
    this.disturbedAt = this.#options.time.now + this.slowMs
    this.#busy = true
    this.#drainLater(this.slowMs)
  }

  #drainLater(ms: number): void {
    this.#options.time.after(ms, () => {
      this.#busy = false
      while (this.#alive && !this.#paused && !this.#busy) {
        const run = this.#waiting.shift()
        if (run === undefined) return
        this.#handle(run)
      }
    })
  }

  #makeClock(): Clock {
    const { time, rate, count } = this.#options
    return {
      now: () => {
        const standing = this.#suspendedAt === undefined ? 0 : time.now - this.#suspendedAt
        return 1000 + (time.now - this.#stoodMs - standing) * rate + this.#jumpedMs
      },
      wall: () => Math.floor(1_750_000_000_000 + time.now * rate + this.#wallJumpMs),
      uptime: () => 1000 + time.now * rate + this.#jumpedMs,
      after: (ms, fire) => {
        if (!this.ask()) return deadTimer
        let cancelled = false
        const run = (): void => {
          if (cancelled) return
          cancelled = true
          count('timer')
          fire()
        }
        // What is due while it stands still comes late all the same: a host that slept is not woken by its timers.
        const timer = time.after(ms / rate, () => this.enter(run))
        const cancel = (): void => {
          cancelled = true
          timer.cancel()
        }
        return { cancel }
      },
      defer: run => {
        if (this.ask()) time.after(0, () => this.enter(run))
      },
    }
  }
}

const deadTimer: Timer = { cancel() {} }
