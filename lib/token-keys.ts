/**
 * The MAC keys that this server holds, and which of them the ledger says to make tokens with and to hear.
 *
 * Made with: the one in use, from the very entry that said so. Heard: that one; those of before while their time
 * runs; and those that were never in use, since another server may have applied the switch already. A token names no
 * key: there are two or three to try in the worst case, and one for all but a short time.
 *
 * A pool that never changed its key uses the oldest that it holds: the first it had.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { SeatProof } from './ledger/command.ts'
import type { TokenKeyUse } from './ledger/state.ts'
import {
  makeChallenge,
  makeToken,
  readChallenge,
  readToken,
  tokenKey,
  type ChallengeSubject,
  type TokenKey,
} from './token.ts'

/** Of 256 random bits a hash tells nothing; of its own 96 bits no two agree. */
const kidBytes = 12

/** What a MAC key is called in public. Operators type it: it never begins as an option does. */
export function macKeyId(macKey: Uint8Array): string {
  const digest = createHash('sha256').update('licd-mac-key\0').update(macKey).digest()
  return digest.subarray(0, kidBytes).toString('base64url').replace(/^-/, '_')
}

interface Held {
  readonly kid: string
  readonly key: TokenKey
}

/** What holds for one state of the ledger and one set of keys. */
interface Choice {
  readonly use: TokenKeyUse | undefined
  readonly making: Held | undefined
  /** The one in use first. */
  readonly heard: readonly Held[]
}

export class TokenKeys {
  readonly #pool: string
  readonly #use: () => TokenKeyUse | undefined
  #held: readonly Held[]
  #choice: Choice | undefined

  /** `macKeys`: newest first, one at least. `use`: what the ledger says now; another object whenever that changes. */
  constructor(pool: string, macKeys: readonly Uint8Array[], use: () => TokenKeyUse | undefined) {
    this.#pool = pool
    this.#use = use
    this.#held = macKeys.map(hold)
  }

  /** Ids of the keys held, newest first. */
  get kids(): readonly string[] {
    return this.#held.map(({ kid }) => kid)
  }

  /** Id of the key that tokens are made with; `undefined` when this server does not hold it. */
  get making(): string | undefined {
    return this.#chosen.making?.kid
  }

  /**
   * Takes the keys of the file in place of those held. One that is in use or heard is not let go of, whatever the file
   * says: seats stand on it. Answers the ids of those that the file lacks.
   */
  adopt(macKeys: readonly Uint8Array[]): readonly string[] {
    const fresh = macKeys.map(hold)
    const needed = new Set(this.#chosen.making === undefined ? [] : [this.#chosen.making.kid])
    for (const { kid } of this.#use()?.before ?? []) needed.add(kid)
    const isFresh = new Set(fresh.map(({ kid }) => kid))
    const kept = this.#held.filter(({ kid }) => needed.has(kid) && !isFresh.has(kid))
    this.#held = [...fresh, ...kept]
    this.#choice = undefined
    return kept.map(({ kid }) => kid)
  }

  /** The token of a seat. Only while `making` is defined. */
  token(proof: SeatProof): Uint8Array {
    return makeToken(this.#makingKey(), this.#pool, proof)
  }

  /** What a token says; `undefined` for one that was not made by this pool, was altered, or whose key is heard no more. */
  read(token: Uint8Array): SeatProof | undefined {
    for (const { key } of this.#chosen.heard) {
      const proof = readToken(key, this.#pool, token)
      if (proof !== undefined) return proof
    }
    return undefined
  }

  /** The nonce of a challenge, see `makeChallenge`. Only while `making` is defined. */
  challenge(subject: ChallengeSubject, lastTick: number): Uint8Array {
    return makeChallenge(this.#makingKey(), subject, lastTick)
  }

  /** See `readChallenge`. */
  readChallenge(subject: ChallengeSubject, nonce: Uint8Array): number | undefined {
    for (const { key } of this.#chosen.heard) {
      const lastTick = readChallenge(key, subject, nonce)
      if (lastTick !== undefined) return lastTick
    }
    return undefined
  }

  #makingKey(): TokenKey {
    const { making } = this.#chosen
    assert(making !== undefined, 'who grants has asked first (Desk.isServing)')
    return making.key
  }

  get #chosen(): Choice {
    const use = this.#use()
    if (this.#choice !== undefined && this.#choice.use === use) return this.#choice
    this.#choice = this.#choose(use)
    return this.#choice
  }

  #choose(use: TokenKeyUse | undefined): Choice {
    const making =
      use === undefined ? this.#held.at(-1) : this.#held.find(({ kid }) => kid === use.current)
    const over = new Set(use?.retired)
    const others = this.#held.filter(held => held !== making && !over.has(held.kid))
    return { use, making, heard: making === undefined ? others : [making, ...others] }
  }
}

function hold(macKey: Uint8Array): Held {
  return { kid: macKeyId(macKey), key: tokenKey(macKey) }
}
