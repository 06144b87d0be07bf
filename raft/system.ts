/**
 * The real clock and real chance, the only place of raft/ (with the NATS and Level adapters) that touches them.
 *
 * `now()` is CLOCK_MONOTONIC on Linux, which stands still while the host is suspended; `uptime()` is the
 * kernel's count since boot, which does not. Only Linux is trusted with that difference: elsewhere the system's
 * uptime is made from the wall clock, or is the monotonic clock itself, so the answer is "cannot tell".
 */
import { randomFillSync } from 'node:crypto'
import { openSync, readSync } from 'node:fs'
import { platform, uptime } from 'node:os'
import type { Clock, Random, Timer } from './ports.ts'

const suspendIsVisible = platform() === 'linux'
/** Node's timers fire at once beyond this; a longer wait is cut into pieces. */
const longestTimerMs = 2 ** 31 - 1

/** Starts a timer of any length; it keeps the process alive, as the shells' deadlines are work still to do. */
function after(ms: number, fire: () => void): Timer {
  let timer: NodeJS.Timeout | undefined
  const start = performance.now()
  const arm = (): void => {
    const left = ms - (performance.now() - start)
    // Node rounds to whole milliseconds and may fire a fraction early; the port promises "at least".
    if (left <= 0) {
      timer = undefined
      fire()
    } else timer = setTimeout(arm, Math.min(Math.ceil(left), longestTimerMs))
  }
  timer = setTimeout(arm, Math.min(Math.max(0, Math.ceil(ms)), longestTimerMs))
  return {
    cancel() {
      clearTimeout(timer)
      timer = undefined
    },
  }
}

const upBytes = Buffer.alloc(32)
/** The file that the runtime opens anew for each reading: kept open, a reading costs 1.5 us instead of 5. */
let upFile: number | undefined

/** Milliseconds, in steps of ten. Its file reads `seconds.hundredths`; where it does not, the runtime is asked. */
function sinceBoot(): number {
  try {
    upFile ??= openSync('/proc/uptime', 'r')
    const text = upBytes.toString('latin1', 0, readSync(upFile, upBytes, 0, upBytes.length, 0))
    const ms = Number.parseFloat(text) * 1_000
    if (ms > 0) return ms
  } catch {
    // No such file here.
  }
  return uptime() * 1_000
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  uptime: () => (suspendIsVisible ? sinceBoot() : undefined),
  after,
  defer(run) {
    setImmediate(run)
  },
}

/** Drawn from the system in one call for many uses: a call costs more than a message. No byte is used twice. */
const drawn = Buffer.allocUnsafe(4_096)
let drawnUsed = drawn.length

/** Where in `drawn` there are `count` fresh bytes. */
function draw(count: number): number {
  if (drawnUsed + count > drawn.length) {
    randomFillSync(drawn)
    drawnUsed = 0
  }
  const at = drawnUsed
  drawnUsed += count
  return at
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** The largest multiple of 62 in a byte: above it a byte is drawn again, so that no letter is likelier. */
const fairBelow = 256 - (256 % alphabet.length)
const idLength = 22

const letters = Buffer.from(alphabet, 'latin1')
const idBytes = Buffer.alloc(idLength)

/** Made of bytes: a text that is put together letter by letter has to be laid flat before it can be looked up. */
function id(): string {
  for (let n = 0; n < idLength;) {
    // Mostly enough; what a byte above the bound leaves open is filled on the next round.
    const from = draw(idLength - n)
    const until = from + idLength - n
    for (let at = from; at < until; at++) {
      const byte = drawn[at] ?? 0
      if (byte < fairBelow) idBytes[n++] = letters[byte % letters.length] ?? 0
    }
  }
  return idBytes.toString('latin1')
}

export const systemRandom: Random = {
  next() {
    const at = draw(8)
    return ((drawn.readUInt32LE(at) >>> 5) * 2 ** 26 + (drawn.readUInt32LE(at + 4) >>> 6)) / 2 ** 53
  },
  id,
}
