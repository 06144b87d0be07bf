/**
 * What explains a pool: which allocations are dark and when they come back, who may grant what and until when, and
 * why requests were denied lately.
 *
 * Each server speaks of itself alone: its book and its memory of denials are not replicated. Whoever asks gathers
 * the answers of all servers (`lib/ctl/why.ts`).
 */
import type { Code } from '../error.ts'

/**
 * Why allocations that exist may not be granted now.
 *
 * `expired`: their clients fell silent, and a move of the seat may still come to light (R5). `moved`: moved to the
 * server, and the client has not renewed there yet (R6). `relearning`: the server crashed, and its seats of before may
 * be held (R7). `silent`: the pool does not hear their server, which may be granting from its share until its lease
 * is over (R3). `down`: their server is down; whoever runs short borrows them. `held`: the pool was restored or
 * recovered. `owed`: they ended while they were owned; they do not come back but go (R9).
 */
export type DarkKind = 'expired' | 'moved' | 'relearning' | 'silent' | 'down' | 'held' | 'owed'

export interface Dark {
  /** Who owns them; absent where no one server does. */
  readonly server?: string
  readonly kind: DarkKind
  readonly count: number
  /** Milliseconds by the pool clock until the first and the last is back; absent while the clock stands, and for `owed`. */
  readonly firstInMs?: number
  readonly lastInMs?: number
}

/** Dark seats of one kind at one server, by ticks. */
export interface DarkCount {
  readonly kind: 'expired' | 'moved' | 'relearning'
  readonly count: number
  /** The ticks at which the first and the last of them are no longer in use. */
  readonly firstTick: number
  readonly lastTick: number
}

/** One place that was looked at, what was there to be had, and why that did not help. */
export interface Tried {
  readonly source:
    | 'own share'
    | 'free pool'
    | 'down servers'
    | 'leader'
    | 'other servers'
    | 'queue'
    | 'lease'
    | 'code'
    | 'seat'
    | 'feature'
  readonly found: number
  readonly why: string
}

/** A request or renewal that was refused. The same one again within the server's memory counts up. */
export interface Denial {
  readonly what: 'acquire' | 'renew'
  readonly feature: string
  readonly count: number
  /** What the client said of itself. */
  readonly user: string
  readonly host: string
  /** LICD_ABORTED: the client gave up waiting. */
  readonly code: Code
  readonly detail: string
  readonly times: number
  /** The latest and the first of them, milliseconds ago. `tried` is of the latest. */
  readonly agoMs: number
  readonly firstAgoMs: number
  readonly tried: readonly Tried[]
}

/** How often clients that looked for a server were told to look elsewhere; they had not said yet for whom or what. */
export interface TurnedAway {
  /** As the latest was told. */
  readonly code: Code
  readonly detail: string
  /** Messages: a client that finds no server asks twice a second. */
  readonly times: number
  /** The latest and the first of them, milliseconds ago. */
  readonly agoMs: number
  readonly firstAgoMs: number
}

/** What one server may grant of a feature, at this moment. */
export interface Standing {
  readonly share: number
  /** Promised to others: offers, returns and loans under way (R1). */
  readonly promised: number
  /** share - promised: so many may be in use here (I2). */
  readonly limit: number
  /** Dark ones included. */
  readonly inUse: number
  readonly spare: number
  /** How long a seat granted now would be good for at first; 0 when none may be granted. */
  readonly grantsForMs: number
  /** Why none may be granted, however many are spare. */
  readonly reason?: string
  /** Seats asked for by requests that wait here, and place in the pool's queue (0: not in it). */
  readonly waiting: number
  readonly queuePlace: number
  /** Seats that the user asked about holds here. */
  readonly heldByUser?: number
}

export const denialBounds = { perFeature: 32, perServer: 256 } as const
