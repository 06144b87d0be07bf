/**
 * Ids that were released a moment ago.
 *
 * A request that comes again after its seat was released (repeated or overtaken on the way) must not make a seat
 * that nobody holds. Safety does not rest on it: such a seat would expire. Two generations, so that memory is
 * bounded and forgetting costs nothing; beyond the bound the oldest are forgotten early.
 *
 * A client numbers its messages, and releases nothing that it asks for again. So only what comes in a message that is no
 * later than the last one with a release of that client is looked up: on the busy path none is.
 */
const idsMax = 32_768
const keepMs = 30_000

interface Generation {
  readonly ids: Set<string>
  /** Client id -> number of its newest message that released something. */
  readonly batches: Map<string, number>
}

export class ReleasedIds {
  #young = makeGeneration()
  #old = makeGeneration()
  #turnedAt = 0

  add(id: string, now: number): void {
    this.#turn(now)
    this.#young.ids.add(id)
  }

  /** A message with releases was worked off; `batch` 0 where the client numbers none. */
  worked(clientId: string, batch: number): void {
    this.#young.batches.set(clientId, Math.max(batch, this.#newestOf(clientId) ?? 0))
  }

  /** Whether a request in this message may be one whose seat was released already. */
  mayName(clientId: string, batch: number): boolean {
    const newest = this.#newestOf(clientId)
    return newest !== undefined && batch <= newest
  }

  has(id: string, now: number): boolean {
    this.#turn(now)
    return this.#young.ids.has(id) || this.#old.ids.has(id)
  }

  #newestOf(clientId: string): number | undefined {
    return this.#young.batches.get(clientId) ?? this.#old.batches.get(clientId)
  }

  #turn(now: number): void {
    const { ids, batches } = this.#young
    const isFull = ids.size >= idsMax || batches.size >= idsMax
    if (!isFull && now - this.#turnedAt < keepMs) return
    // Two turns' time without use: the young ones are old enough to go as well.
    this.#old = now - this.#turnedAt < 2 * keepMs ? this.#young : makeGeneration()
    this.#young = makeGeneration()
    this.#turnedAt = now
  }
}

function makeGeneration(): Generation {
  return { ids: new Set(), batches: new Map() }
}
