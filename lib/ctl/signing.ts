/**
 * An operator's signature on what is asked of a pool that wants one (lib/protocol/signed.ts).
 *
 * What it is bound to, the pool's beginning and clock, is asked for once and used for a while; a server that finds it
 * too old says so, and it is asked for again.
 */
import type { Clock } from '../../raft/ports.ts'
import { LicdError } from '../error.ts'
import { bounds } from '../ledger/command.ts'
import { signedTicks, type Now, type Signed, type Statement } from '../protocol/signed.ts'

/**
 * How long what is known of the time is used, in ticks: a part of what a signature is good for, the rest is for servers
 * that are ahead, and for the way; and no longer than results are remembered at least, or a new id would count as old (R8).
 */
const knownTicks = Math.min(signedTicks / 3, bounds.deadlineTicks)

/** Signs for the holder of credentials: `signerOf` in lib/access/operator.ts. */
export interface Signer {
  sign(text: string): Signed
}

export interface SigningOptions {
  readonly signer: Signer | undefined
  readonly clock: Clock
  /** Asks any server for the time. */
  readonly now: (timeoutMs: number) => Promise<Now>
}

export class Signing {
  readonly #options: SigningOptions
  #known: { readonly now: Now; readonly at: number } | undefined

  constructor(options: SigningOptions) {
    this.#options = options
  }

  /** Whether there is anybody to sign. */
  get signs(): boolean {
    return this.#options.signer !== undefined
  }

  /** What was known of the time is too old, or another pool's. */
  forget(): void {
    this.#known = undefined
  }

  /**
   * What goes with a request: nothing where the pool wants no signature, or nobody is there to sign, which the pool
   * will say. Without `since` the id is used for the first time: it is then told, for the copies that follow. Throws as a
   * question does.
   */
  async seal(
    { operation, id, since, request }: Omit<Statement, 'cluster' | 'tick'>,
    timeoutMs: number,
  ): Promise<{ readonly signed?: Signed; readonly since?: number }> {
    const { signer } = this.#options
    if (signer === undefined) return {}
    const now = await this.#now(timeoutMs)
    if (!now.signs) return {}
    const { cluster, tick } = now
    const statement = { cluster, operation, id, tick, since: since ?? tick, request }
    return { signed: signer.sign(JSON.stringify(statement)), since: statement.since }
  }

  async #now(timeoutMs: number): Promise<Now> {
    const { clock } = this.#options
    const known = this.#known
    if (known && clock.now() - known.at < knownTicks * known.now.tickMs) return known.now
    const at = clock.now()
    const now = await this.#ask(timeoutMs)
    this.#known = { now, at }
    return now
  }

  /** A server of before, which wants no signature, does not know the question. */
  async #ask(timeoutMs: number): Promise<Now> {
    try {
      return await this.#options.now(timeoutMs)
    } catch (cause) {
      if (!(cause instanceof LicdError) || cause.code !== 'LICD_BAD_REQUEST') throw cause
      return { cluster: '', tick: 0, tickMs: 1_000, signs: false }
    }
  }
}
