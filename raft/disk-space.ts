/**
 * Notices that the disk is about to be full, while a leader can still hand over in good order.
 *
 * A full disk ends the process: that is safe, but the cluster waits for an election, and commands under way end
 * unknown. With little space left a leader hands its office on instead (thesis 3.10), which costs neither.
 *
 * If nobody could take it, it is tried again at the next look. Where all servers share one full disk they would hand
 * leadership round and round: so at most three times a minute.
 */
import type { Logger } from './ports.ts'
import type { Storage } from './storage.ts'

/** Below this a server does not lead, if another one can. */
export const lowBytes = 16 * 1024 * 1024

const lookEveryMs = 5_000
const tellEveryMs = 60_000
const triesMax = 3

export interface SpaceWatchOptions {
  readonly storage: Storage
  readonly log: Logger
  readonly leads: () => boolean
  /** Called when it leads. */
  readonly onLow: () => void
}

export class SpaceWatch {
  readonly #options: SpaceWatchOptions
  #sinceLook = lookEveryMs
  #sinceTold = tellEveryMs
  /** Since it was told. */
  #tries = 0
  #isLooking = false

  constructor(options: SpaceWatchOptions) {
    this.#options = options
  }

  /** Time goes by. A disk that does not answer is not asked again. */
  beat(ms: number): void {
    const { storage } = this.#options
    this.#sinceLook += ms
    this.#sinceTold += ms
    if (storage.freeBytes === undefined || this.#isLooking || this.#sinceLook < lookEveryMs) return
    this.#sinceLook = 0
    this.#isLooking = true
    storage.freeBytes(freeBytes => {
      this.#isLooking = false
      if (freeBytes < lowBytes) this.#low(freeBytes)
    })
  }

  #low(freeBytes: number): void {
    const { log, leads, onLow } = this.#options
    if (this.#sinceTold >= tellEveryMs) {
      this.#sinceTold = 0
      this.#tries = 0
      log.error('raft-disk-low', { freeBytes, lowBytes })
    }
    if (this.#tries === triesMax || !leads()) return
    this.#tries++
    onLow()
  }
}
