/**
 * Tells the core how much time went by, evenly, and when it did not run.
 *
 * Beats stand on a fixed grid from the start of the node, whatever the load: a grid moved to "now" after each
 * delay would, over time, bring the servers' timers into step. A beat is handled only after the messages that
 * are ready have been read, so that a busy server does not miss the heartbeat that lies in its socket.
 *
 * Invariant: a stall is told before the time it took, and that counts as one beat: after a pause a follower
 * waits for news before it asks for votes, and a leader has to be confirmed anew.
 */
import type { Clock, Timer } from './ports.ts'

export interface MetronomeOptions {
  readonly clock: Clock
  readonly everyMs: number
  /** A gap between two beats longer than this is a stall, in ms. */
  readonly stallMs: number
  /** `ms` since the last beat, a multiple of `everyMs`; `stalledMs` when the process, or the host, did not run meanwhile. */
  readonly onBeat: (ms: number, stalledMs: number | undefined) => void
  /** Called before `onBeat`: how much later than it was due the beat came, in ms, 0 and up. */
  readonly onLate?: (lateMs: number) => void
}

export class Metronome {
  readonly #options: MetronomeOptions
  readonly #origin: number
  #last: number
  /** Beats told so far, those of a late one included. */
  #beats = 0
  /** How far the time since boot runs ahead of the monotonic clock; grows while the host is suspended. */
  #ahead: number | undefined
  #timer: Timer | undefined
  /** When the next beat is due, by the clock. */
  #due = 0
  #stopped = false

  constructor(options: MetronomeOptions) {
    this.#options = options
    this.#origin = options.clock.now()
    this.#last = this.#origin
    this.#ahead = this.#uptimeAhead()
    this.#arm()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #arm(): void {
    const { clock, everyMs } = this.#options
    const beats = Math.floor((clock.now() - this.#origin) / everyMs) + 1
    // Rounding can put the next beat at this very instant, again and again: time must be let go on.
    this.#due = this.#origin + beats * everyMs
    const wait = Math.max(0.001, this.#due - clock.now())
    this.#timer = clock.after(wait, () => {
      clock.defer(() => this.#beat())
    })
  }

  #beat(): void {
    if (this.#stopped) return
    const { clock, everyMs, stallMs, onBeat, onLate } = this.#options
    const now = clock.now()
    const gap = now - this.#last
    const late = Math.max(0, now - this.#due)
    this.#last = now
    const ahead = this.#uptimeAhead()
    const suspended = Math.max(0, (ahead ?? 0) - (this.#ahead ?? ahead ?? 0))
    this.#ahead = ahead
    // Whole beats: told to the fraction, two beats would often be a little less than a heartbeat, and it be late.
    const beats = Math.floor((now - this.#origin) / everyMs + 1e-6)
    const ms = (beats - this.#beats) * everyMs
    this.#beats = beats
    const lost = gap + suspended
    this.#arm()
    onLate?.(late + suspended)
    if (lost > stallMs) onBeat(Math.min(ms, everyMs), lost)
    else onBeat(ms, undefined)
  }

  #uptimeAhead(): number | undefined {
    const { clock } = this.#options
    const uptime = clock.uptime()
    return uptime === undefined ? undefined : uptime - clock.now()
  }
}
