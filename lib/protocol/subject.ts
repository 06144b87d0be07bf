/**
 * The NATS subjects of a pool. Three roles (server, operator, client) are told apart by permissions on these
 * prefixes, so what a role may do can be read off here.
 */
import { LicdError } from '../error.ts'

/** Characters of a reply subject. NATS takes 4,096 bytes for a line with all that stands in it, and ends the connection beyond. */
export const replyMax = 512

/** Pool and server names: 1 to 32 characters of `A-Z a-z 0-9 _ -`. */
const namePattern = /^[A-Za-z0-9_-]{1,32}$/

/** Feature ids: a name and, where versions are told apart, `@` and a version. Nothing NATS gives a meaning to. */
const featurePattern = /^[A-Za-z0-9_-]{1,64}(@[A-Za-z0-9_.-]{1,32})?$/

/** The name that stands for whichever server answers first; no server may have it. */
export const anyServer = 'any'

export function isName(text: string): boolean {
  return namePattern.test(text)
}

export function isServerName(text: string): boolean {
  return namePattern.test(text) && text !== anyServer
}

export function isFeatureName(text: string): boolean {
  return featurePattern.test(text)
}

/**
 * Where the answer to a message goes, if anywhere: not to a subject of a pool or of NATS itself. A server may publish where
 * whoever asked may not, and would speak there in its own name (a false `event.gone`, a message of Raft's). Nor to one that
 * is longer than any inbox: it is kept while a request waits, stands in a broker's log, and, passed on, in a longer line.
 */
export function inboxOf(reply: string | undefined): string | undefined {
  if (reply === undefined || reply.startsWith('licd.') || reply.startsWith('$')) return undefined
  return reply.length <= replyMax ? reply : undefined
}

export type SeatOperation = 'find' | 'acquire' | 'renew' | 'release' | 'prove'

/** Subjects of one pool. Throws LICD_BAD_CONFIG for a name that is none. */
export function subjects(pool: string) {
  if (!isName(pool)) {
    throw new LicdError(
      'LICD_BAD_CONFIG',
      `Pool name ${JSON.stringify(pool)} is not 1 to 32 characters of A-Z a-z 0-9 _ -.`,
    )
  }
  const root = `licd.v1.${pool}`
  return {
    root,
    /** Prefix of what servers tell each other; Raft's classes are `v a h s`. */
    raft: `${root}.raft`,
    /** Server to server, outside consensus: `propose`, `keepalive`, `ask`, and `claim` among processes of one name. */
    peer: (server: string, operation: 'propose' | 'keepalive' | 'ask' | 'claim') =>
      `${root}.raft.${server}.${operation}`,
    /** Servers tell of which beginning of the pool they are. */
    epoch: `${root}.raft.${anyServer}.epoch`,
    /** Clients. With `any`, one server of the pool answers. */
    seat: (server: string, operation: SeatOperation) => `${root}.seat.${server}.${operation}`,
    /** Operators: any server answers. */
    ctl: (operation: string) => `${root}.ctl.${operation}`,
    /** Operators: that server answers. */
    ctlAt: (operation: string, server: string) => `${root}.ctl.${operation}.${server}`,
    /** Published by each server as it applies a change of the distribution (claims 6, 20). */
    syncEvent: (server: string) => `${root}.event.sync.${server}`,
    /** Role, lease and incarnation of a server changed. */
    serverEvent: (server: string) => `${root}.event.server.${server}`,
    /** A code starts, ends, or is to end soon; by the leader. */
    codeEvent: (server: string) => `${root}.event.code.${server}`,
    /** A hint that a server is gone: its clients look after their seats at once. Safety never rests on it. */
    goneEvent: (server: string) => `${root}.event.gone.${server}`,
    events: `${root}.event.>`,
    /** Queue group of the subjects that any server answers. */
    queue: 'licd',
  }
}

export type Subjects = ReturnType<typeof subjects>
