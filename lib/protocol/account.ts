/**
 * What servers and operators tell each other of the pool's NATS account: the signed list of whom it shuts out
 * (docs/SECURITY.md). It is no secret, and nobody but the holder of `pool.join` can make one.
 */
export const accountBounds = {
  /** Bytes of an account: one that shuts out as many as an account may has some 190,000. */
  jwtBytes: 256 * 1024,
  /** An answer is waited for so long, milliseconds: less than an operator's program waits (lib/ctl/ctl-client.ts). */
  answerMs: 1_500,
  /** Milliseconds from one nats-server to the next: each lets go of its clients for a moment when it reads. */
  stepMs: 500,
  /** Milliseconds that a server waits, when it is asked to, before its nats-server reads what it took. */
  waitMs: 20_000,
} as const

/** Which account a server has. */
export interface AccountStanding {
  /** `taken`: just now; `held`: for longer; `elsewhere`: the configuration of its nats-server is not licd's. */
  readonly state: 'taken' | 'held' | 'elsewhere'
  /** When it was signed, seconds since 1970: of two the later one counts. */
  readonly issuedAt?: number
  /** How many it shuts out. */
  readonly revoked?: number
  /** False where licd does not run the nats-server, which has to be told to read it (`nats-server --signal reload`). */
  readonly loads?: boolean
  /** The account itself, where whoever asked has an older one. */
  readonly account?: string
}

/** What became of an account at one server: `silent` ones are told by the others when they are back. */
export interface AccountAt {
  readonly server: string
  readonly state: AccountStanding['state'] | 'silent' | 'refused'
  readonly loads?: boolean
  /** Why it was refused: code and message. */
  readonly detail?: string
}

/** Milliseconds after a push by which every nats-server that was told reads it, in a pool of so many servers. */
export function inForceMs(servers: number): number {
  return accountBounds.answerMs + accountBounds.stepMs * servers
}

/** What became of it in the pool. */
export interface AccountPushed {
  readonly issuedAt: number
  readonly revoked: number
  readonly servers: readonly AccountAt[]
}
