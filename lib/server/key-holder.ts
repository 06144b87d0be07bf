/**
 * The MAC keys of this server while it runs: looked for again when it is asked for them, and told to the pool.
 *
 * A key reaches a host as a file, never by a message (`licd key add`); the log holds ids alone. Whoever asks which keys
 * this server holds has it look at its file first, and is answered when the pool knows what was found. A pool whose
 * servers hold one key each, and never changed it, has nothing to tell.
 *
 * Bounded: one look at the file and one telling at a time; those who ask meanwhile share its end.
 */
import type { Logger } from '../../raft/ports.ts'
import type { LicdError } from '../error.ts'
import { bounds, type CommandBody } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { TokenKeys } from '../token-keys.ts'
import type { Outcome } from './parts.ts'

/** Where the keys lie. */
export interface KeyStore {
  /** The keys as they are there now, newest first, one at least; or why they cannot be read. Called back once. */
  read(done: (macKeys: readonly Uint8Array[] | undefined, problem?: LicdError) => void): void
}

export interface KeyHolderOptions {
  readonly server: string
  readonly keys: TokenKeys
  readonly store: KeyStore | undefined
  readonly log: Logger
  readonly state: () => LedgerState
  /** 0 while there is none: what it holds counts for a run that serves. */
  readonly incarnation: () => number
  readonly submit: (body: CommandBody, done: (outcome: Outcome) => void) => void
}

export class KeyHolder {
  readonly #options: KeyHolderOptions
  #looking: (() => void)[] | undefined
  #telling: (() => void)[] | undefined
  #missed: string | undefined

  constructor(options: KeyHolderOptions) {
    this.#options = options
  }

  get keys(): TokenKeys {
    return this.#options.keys
  }

  /** Looks at the file; `done` when the pool knows what this server holds, or cannot be told now. */
  look(done: () => void): void {
    const { store } = this.#options
    if (store === undefined) return this.#tell(done)
    if (this.#looking !== undefined) {
      this.#looking.push(done)
      return
    }
    const looking = [done]
    this.#looking = looking
    store.read((macKeys, problem) => {
      this.#looking = undefined
      this.#found(macKeys, problem)
      this.#tell(() => {
        for (const one of looking) one()
      })
    })
  }

  /** An entry was applied: the pool may have forgotten what this server holds, or want to know it for the first time. */
  applied(): void {
    if (this.#isNews()) this.#tell(() => undefined)
  }

  /** True when tokens can be made. When not, it looks for the key, so that asking again may be worth it. */
  isReady(): boolean {
    const { keys, log, state } = this.#options
    if (keys.making !== undefined) {
      this.#missed = undefined
      return true
    }
    const kid = state().tokenKeys?.current
    if (kid !== this.#missed) log.error('key-missing', { kid, held: keys.kids })
    this.#missed = kid
    if (this.#looking === undefined) this.look(() => undefined)
    return false
  }

  #found(macKeys: readonly Uint8Array[] | undefined, problem: LicdError | undefined): void {
    const { keys, log } = this.#options
    if (macKeys === undefined) {
      log.error('keys-unreadable', { error: problem })
      return
    }
    const before = keys.kids.join()
    const lacks = keys.adopt(macKeys)
    if (lacks.length > 0) log.warn('keys-missing-in-file', { kids: lacks })
    if (keys.kids.join() !== before) log.info('keys', { kids: keys.kids, making: keys.making })
  }

  get #kids(): readonly string[] {
    return this.#options.keys.kids.slice(0, bounds.heldKeys)
  }

  #isNews(): boolean {
    const { server, state, incarnation, keys } = this.#options
    const { level, tokenKeys, servers } = state()
    if (level < 2 || incarnation() === 0) return false
    if (tokenKeys === undefined && keys.kids.length === 1) return false
    return servers.get(server)?.keys?.join() !== this.#kids.join()
  }

  #tell(done: () => void): void {
    if (this.#telling !== undefined) {
      this.#telling.push(done)
      return
    }
    if (!this.#isNews()) return done()
    const telling = [done]
    this.#telling = telling
    const { server, incarnation, submit } = this.#options
    const kids = this.#kids
    submit({ type: 'hold-keys', server, incarnation: incarnation(), kids }, () => {
      // What came of it stands in the ledger. Where it did not come about, the next tick tries again.
      this.#telling = undefined
      for (const one of telling) one()
    })
  }
}
