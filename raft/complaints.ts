/**
 * What NATS complains of, in the log. The same again within `toldEveryMs` is counted alone: a client that names a reply
 * subject to which this connection may not publish causes one for each of its messages.
 */
import type { Logger } from './ports.ts'

const toldEveryMs = 10_000

/** Takes complaints; `now` in milliseconds, never backwards. */
export function complaints(
  log: Logger,
  now: () => number = () => performance.now(),
): (cause: string) => void {
  let last = { cause: '', at: -Infinity }
  let untold = 0
  return cause => {
    const at = now()
    if (cause === last.cause && at - last.at < toldEveryMs) {
      untold++
      return
    }
    log.warn('nats-error', untold > 0 ? { cause, untold } : { cause })
    last = { cause, at }
    untold = 0
  }
}
