/**
 * The one error class of the product and the table of its codes.
 *
 * Programs tell errors apart by `code`, never by text; a code keeps its meaning for good. A code is also what
 * travels in answers over the wire and what the ledger returns as a refusal, so that a refusal reads the same
 * at the client, in `licd ctl` and in the log. Each says what to do.
 */

/** Code -> what it means and what to do. The documentation's table of codes is made from this. */
export const codes = {
  // seats
  LICD_UNKNOWN_FEATURE:
    'The pool has no such feature. See what it has (`licd ctl status`), and which codes ended (`licd ctl code list`).',
  LICD_NO_SEAT:
    'Every allocation is in use. Wait with a timeout, or see `licd ctl why FEATURE` for who could grant one.',
  LICD_TIMEOUT:
    'No answer or no seat in the time allowed. Allow more time, or see `licd ctl status`.',
  LICD_TOO_MANY_WAITING: 'The server keeps no more waiting requests. Try again later.',
  LICD_TOO_MANY_SEATS:
    'The client holds as many seats here as one client may; the message names the bound. Release some first.',
  LICD_NOT_SERVING:
    'The server is starting or stopping and may not grant or renew now. Another server may.',
  LICD_NO_LEASE:
    'It grants and renews nothing until a leader lists it again: check that a majority of servers runs and that they reach each other. Another server may.',
  LICD_OVER_LIMIT:
    'The server owns fewer allocations than are in use there; it grants nothing until it has more.',
  LICD_SEAT_LOST: 'The seat is over: it expired, was released, or was given on. Acquire a new one.',
  LICD_BAD_TOKEN: 'The token was not made by this pool, or was altered. Acquire a new seat.',
  LICD_NO_MOVE_NOW:
    'No seat moves to this server now: it cannot tell the pool clock, or starts, or the seat\u2019s own server serves again. Stay, or try another.',
  LICD_LEASE_REFUSED:
    'The seat may not be moved here now. It stays valid where it is until it expires.',
  LICD_ABORTED: 'The caller gave up.',
  LICD_CLOSED: 'The connection was closed.',
  LICD_NO_SERVER:
    'No license server of this pool answers. Check that servers run and that the pool name is right.',
  LICD_NO_PROOF:
    'The seat cannot be proven: proofs rest on a vendor\u2019s license code, which names the pool.',
  LICD_PROOF_MALFORMED: 'The text is no proof of a seat. Ask for another.',
  LICD_PROOF_FORGED:
    'The proof does not hold: a signature in it is not by the key that the link before names.',
  LICD_PROOF_OTHER:
    'The proof is of something else. Check the feature; a nonce that is not yours means a repeated proof.',
  LICD_PROOF_EXPIRED: 'The proof is not of now. Ask for a new one; check this host\u2019s clock.',
  // messages
  LICD_BAD_REQUEST: 'The request is malformed; the message names the field.',
  LICD_BAD_COUNT: 'A count must be a whole number from 1 to the bound named.',
  LICD_TOO_LARGE: 'The message is larger than the bound. Split it.',
  LICD_BAD_VERSION: 'The peer speaks another version of the protocol. Upgrade the older side.',
  // ledger
  LICD_NO_SOURCE: 'No free allocation was found in any source.',
  LICD_FEATURE_EXISTS: 'The pool has that feature already. Add allocations to it instead.',
  LICD_FEATURE_NOT_LOCAL:
    'The feature is a vendor\u2019s: its allocations are added by signed text (`licd ctl code add`).',
  LICD_FEATURE_LOCAL:
    'The feature is the pool\u2019s own; a license code cannot add to it. Use another name.',
  LICD_FEATURE_OF_OTHER_VENDOR:
    'The feature belongs to another vendor. Ask the vendor for a code with its own feature.',
  LICD_CODE_EXISTS: 'The pool has that license code already. Nothing was changed.',
  LICD_UNKNOWN_CODE: 'The pool has no such license code. See `licd ctl code list`.',
  LICD_CODE_FORGED:
    'The license code\u2019s signature does not fit its text. Ask the vendor for a fresh copy.',
  LICD_CODE_MALFORMED: 'The text is no license code. Check that it was copied whole.',
  LICD_CODE_UNTRUSTED:
    'The pool does not trust the key that signed the code. Add the vendor\u2019s key first (`licd ctl vendor add`).',
  LICD_CODE_FOREIGN: 'The code is for another pool. Send the vendor this pool\u2019s fingerprint.',
  LICD_CODE_EXPIRED: 'The license code has expired. Ask the vendor for a new one.',
  LICD_CODE_RENEWED:
    'The pool has a code that renews this one, and it is in force: both would count twice. Nothing was changed.',
  LICD_CODE_LIMITS:
    'The code allows leases or seats too short for the pool\u2019s ticks. Lower `licd ctl settings --tick-ms`.',
  LICD_VENDOR_REVOKED:
    'The vendor key was revoked, for good. Ask the vendor for a code by another of its keys.',
  LICD_KEY_MISSING:
    'Bring the key to those servers (`licd key add`), then `licd ctl key list` shows that they hold it. Nothing was changed.',
  LICD_KEY_RETIRED:
    'The key was in use before and is for no further use. Make another: `licd key make`.',
  LICD_KEY_CHANGED:
    'The pool\u2019s key was changed meanwhile. Look at `licd ctl key list`, and ask again if that is still wanted.',
  LICD_UNSIGNED:
    'This pool takes changes from operators it knows alone: use a context file of the role operator (`licd credentials`), and a licd of its version.',
  LICD_NOT_OPERATOR:
    'Nothing was changed. Use a context file of the role operator that this pool made (`licd credentials`).',
  LICD_STALE_SIGNATURE: 'Nothing was changed. Ask again.',
  LICD_LEVEL:
    'The pool still goes by the rules of an earlier version. Once every server runs this one, `licd ctl upgrade`.',
  LICD_UNKNOWN_SERVER: 'The pool has no server of that name. See `licd ctl servers`.',
  LICD_UNKNOWN_VENDOR: 'The pool trusts no such vendor key.',
  // servers of the pool
  LICD_SERVER_REMOVED:
    'The server was taken out of the pool. `licd ctl servers add` takes it in again.',
  LICD_NOT_CAUGHT_UP:
    'The server does not run, or has not received the whole log yet. See its lag in `licd ctl servers`.',
  LICD_LAST_VOTER: 'A pool needs a voter. Add or promote another server first.',
  LICD_QUORUM_AT_RISK:
    'Of the voters that remained no majority would answer, and the pool would stand still. Start or remove first what does not run.',
  LICD_NO_TARGET:
    'No such voter is fit to lead now: it does not answer, or lacks entries. See `licd ctl servers`.',
  LICD_POOL_HELD:
    'The pool was restored or recovered, and serves when every seat from before is surely over.',
  LICD_OLD_EPOCH:
    'The pool was restored or recovered since this folder was made. Move it away and make a new one with `licd join`.',
  LICD_TARGETS_TOO_LARGE: 'The targets add up to more than the feature has.',
  LICD_BAD_THRESHOLD: 'A borrowing threshold is a fraction above 0 and at most 1.',
  LICD_TOO_MANY: 'The pool holds no more of these; the message names the bound.',
  LICD_PAST_INCARNATION: 'The server that asked has started anew since. Nothing was changed.',
  LICD_NOT_ENOUGH: 'The giver owns fewer allocations than the command takes. Nothing was changed.',
  LICD_NOT_PROVEN: 'The token no longer proves the seat, so it was not moved.',
  LICD_NO_DEMAND: 'The demand the allocations were meant for is gone. Nothing was changed.',
  LICD_NOT_FUNCTIONING:
    'The server that was to take allocations is silent, down or stopping. Nothing was changed.',
  LICD_DEADLINE:
    'The command came too late and was not applied. Send it again if it is still wanted.',
  LICD_BAD_DEADLINE: 'A command\u2019s deadline must lie 1 to 30 ticks ahead and under the lease.',
  LICD_BAD_TICK: 'A tick out of turn; ignored.',
  LICD_TOO_BUSY:
    'As much is under way, or remembered of what was done, as may be at a time: wait a little.',
  LICD_UNKNOWN_OUTCOME: 'Whether the command took effect is not known. Ask again with the same id.',
  // pool and process
  LICD_NO_LEADER:
    'No leader server is in office, so changes wait. Check that a majority of servers runs.',
  LICD_NOT_INITIALISED:
    'The data folder holds no server. Make one with `licd init`, or give the right folder.',
  LICD_ALREADY_INITIALISED: 'The folder holds a server already. Choose another, or move it away.',
  LICD_WRONG_POOL: 'The data folder belongs to another pool or server.',
  LICD_DUPLICATE_SERVER: 'Another process runs as this server. Stop one of them.',
  LICD_DATA_LOCKED: 'Another process has the data folder open. Stop it first.',
  LICD_DATA_DAMAGED:
    'The data folder is damaged. A start sets a damaged log aside, and the others teach the server; it is safe to try once.',
  LICD_DIVERGED:
    'This server\u2019s ledger differs from what a majority of the pool agrees on: start it again and it is taught anew. Please report it with the log.',
  LICD_STORAGE:
    'The disk failed or is full; the server has stopped. Free or mend it, then start again.',
  LICD_NATS_UNREACHABLE: 'No NATS server answers at the address. Start one, or give `--nats`.',
  LICD_NATS_REFUSED:
    'NATS refused the connection, or its certificate is not to be believed. Check credentials, context file and clock.',
  LICD_NATS_MISSING:
    'No nats-server program was found. Install it (Debian, Ubuntu: apt-get install nats-server; macOS: brew install nats-server), or set LICD_NATS_SERVER to its path.',
  LICD_BAD_SNAPSHOT:
    'The file is no whole snapshot of a pool. Nothing was changed. Take another copy.',
  LICD_SNAPSHOT_GONE: 'The server holds that snapshot no longer. Begin again.',
  LICD_NOT_CONFIRMED: 'It was not confirmed. Nothing was changed.',
  LICD_BAD_CONFIG: 'A setting is wrong; the message names it.',
  LICD_USAGE: 'The command line is wrong; the message says where. See `--help`.',
  LICD_BAD_KEY: 'The key file cannot be used; the message says why.',
  LICD_INTERNAL: 'A defect in licd. Please report it with the log.',
} as const satisfies Record<string, string>

export type Code = keyof typeof codes

/** True when `text` is one of licd's codes. */
export function isCode(text: string): text is Code {
  return Object.hasOwn(codes, text)
}

/** An error of licd: `code` says which, `message` what to do, `cause` what lay beneath. */
export class LicdError extends Error {
  override readonly name = 'LicdError'
  readonly code: Code
  /** Retrying is useful after this many milliseconds, where known. */
  readonly retryAfterMs: number | undefined

  constructor(
    code: Code,
    detail?: string,
    options: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(
      detail === undefined ? codes[code] : `${detail} ${codes[code]}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.retryAfterMs = options.retryAfterMs
  }
}
