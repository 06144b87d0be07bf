/**
 * Operators' commands, signed: by the key of the operator's own credentials, over all that the command says.
 *
 * What is signed is `signedPrefix` and a JSON text of a {@link Statement}. It names the pool's present beginning
 * (`cluster`: another pool, and this one before it was restored, have another), the operation, the command's id, and
 * the pool clock: it is good for `signedTicks` ticks. A repeated one does nothing: less time has passed than a command's
 * id is remembered, or, where ids are forgotten early, `since` tells that it may have been applied (R8). The prefix holds what no nonce of a NATS server does: neither can pass for the other.
 */
export const signedPrefix = 'licd-operator-1\n'
/** Ticks of the pool clock that a signature is good for; with those of a deadline less than an id is remembered. */
export const signedTicks = 300
/** A server may be so many ticks behind the one that told the time. */
export const signedAheadTicks = 30

export interface Statement {
  readonly cluster: string
  readonly operation: string
  readonly id: string
  readonly tick: number
  /** A tick of before the id was used first; absent where that is not known, and from programs of before. */
  readonly since?: number
  /** The fields of the request, but for those that say how it travels: `timeoutMs`, `fresh`. */
  readonly request: Readonly<Record<string, unknown>>
}

/** What travels beside the fields of the request. A server that asks for it goes by `text` and not by the fields. */
export interface Signed {
  /** The operator's NATS user JWT, signed by the pool's account. */
  readonly jwt: string
  /** The statement, as it was signed. */
  readonly text: string
  /** Ed25519, base64url. */
  readonly signature: string
}

/** What a signature is bound to, as any server tells it. */
export interface Now {
  readonly cluster: string
  readonly tick: number
  readonly tickMs: number
  /** Changes have to be signed. */
  readonly signs: boolean
}
