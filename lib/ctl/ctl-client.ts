/**
 * The operator's client: questions and changes over the ctl protocol.
 *
 * A change carries one command id through all its attempts, so it takes effect once however often, and through
 * whichever servers, it is sent (I4). What comes back is what happened, never a guess: a change that nobody
 * answered is asked for by its id before the caller is told that its outcome is unknown (R8).
 *
 * Bounded: one subscription, `pendingMax` requests under way, every wait ends by `timeoutMs`.
 */
import type { Bus, Clock, Random } from '../../raft/ports.ts'
import { isCode, LicdError, type Code } from '../error.ts'
import type { CodeContent } from '../ledger/command.ts'
import {
  ctlBounds,
  type Applied,
  type Change,
  type CtlOperation,
  type CtlRequests,
} from '../protocol/ctl.ts'
import { isServerName } from '../protocol/subject.ts'
import { isAnswer, type Answered } from './answer.ts'
import { Post, type Fields } from './ctl-post.ts'
import { Signing, type Signer } from './signing.ts'

export interface CtlClientOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly pool: string
  /** Asks this server only, instead of whichever answers. */
  readonly server?: string
  /** How long a question or a change may take in all, milliseconds; 10,000 when absent. */
  readonly timeoutMs?: number
  /** Who the audit log says asked; at most 128 characters. */
  readonly by: string
  /** Signs what a pool with roles takes from operators alone. */
  readonly signer?: Signer
}

type ChangeOperation = {
  [Operation in CtlOperation]: CtlRequests[Operation] extends Change ? Operation : never
}[CtlOperation]

/** What became of a change. */
export interface Changed extends Applied {
  /** The server that said so. */
  readonly server: string
  /** Of `code-add`: what the code says; absent when the answer was lost and its outcome was asked for. */
  readonly content?: CodeContent
}

/** A server that does not answer within this is asked no longer: another one may. */
const attemptMs = 3_000
/**
 * A change is sent elsewhere sooner, and longer the later, since its id keeps it from being made twice (R8) and an answer
 * to an earlier copy counts as well: a server whose host is gone, or whose disk hangs, says nothing.
 */
const firstAttemptMs = 1_000
/** What a server gets less of than the attempt lasts, so that its answer is back in time. */
const slackMs = 500
/**
 * Between two attempts, twice as long each time: a leader that handed its office over, or was elected just now, is back
 * within that, and where there is none for longer a client asks five times a second.
 */
const pauseMinMs = 25
const pauseMaxMs = 200
const outcomeMs = 2_000
/** Questions that take everything along, or change what is no command of the ledger. */
const signedAsks: ReadonlySet<string> = new Set(['snapshot-open', 'account-push'])
/** Refusals that say "not now": the same command may be sent again (I4). */
const passing: ReadonlySet<Code> = new Set<Code>([
  'LICD_NO_LEADER',
  'LICD_UNKNOWN_OUTCOME',
  'LICD_TOO_BUSY',
  'LICD_STALE_SIGNATURE',
])

/** Who leads, and how many changes of one kind it says that it takes in one message; 1 when it did not say so. */
interface Leader {
  readonly name: string
  readonly atOnce: number
}

export class CtlClient {
  readonly pool: string
  readonly #options: CtlClientOptions
  readonly #signing: Signing
  readonly #post: Post
  /** Who led when a change was answered last: asked first, for it spares two messages. A hint, no more. */
  #leader: Leader | undefined

  /** Throws LICD_BAD_CONFIG for a pool name that is none. */
  constructor(options: CtlClientOptions) {
    this.pool = options.pool
    this.#options = options
    this.#post = new Post(options)
    this.#signing = new Signing({
      signer: options.signer,
      clock: options.clock,
      now: timeoutMs => this.ask('now', {}, { timeoutMs }),
    })
  }

  /** Who the audit log says asked. */
  get by(): string {
    return this.#options.by
  }

  /** The server that is asked, where it is one only. */
  get server(): string | undefined {
    return this.#options.server
  }

  /** Ends what is under way with LICD_CLOSED. Twice does no harm. The bus stays open. */
  close(): void {
    this.#post.close()
  }

  /**
   * Asks a question; `server` overrides whom.
   *
   * @throws LicdError LICD_NO_SERVER, LICD_NATS_UNREACHABLE, LICD_TIMEOUT, or the refusal of the server
   */
  async ask<Operation extends CtlOperation>(
    operation: Operation,
    request: CtlRequests[Operation],
    options: { readonly server?: string; readonly timeoutMs?: number } = {},
  ): Promise<Answered<Operation>> {
    const server = options.server ?? this.#options.server
    const { clock } = this.#options
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs
    const end = clock.now() + timeoutMs
    let refusal: LicdError | undefined
    const pause = { ms: pauseMinMs }
    for (let left = timeoutMs; left > 0; left = end - clock.now()) {
      const waitMs = Math.min(left, attemptMs)
      const isSigned = signedAsks.has(operation)
      const body = isSigned ? await this.#signed(operation, request, left) : request
      const attempt = await this.#post.attempt(operation, body, { server, waitMs })
      if (attempt.type === 'unheard') throw attempt.error
      if (attempt.type === 'silent') continue
      const { fields } = attempt
      if (fields.ok === true) return readAnswer(operation, fields)
      refusal = refusalOf(fields)
      if (!passing.has(refusal.code)) throw refusal
      if (refusal.code === 'LICD_STALE_SIGNATURE') this.#signing.forget()
      if (!(await this.#again(refusal, end, pause))) throw refusal
    }
    throw refusal ?? new LicdError('LICD_TIMEOUT', `Nobody answered within ${timeoutMs} ms.`)
  }

  /**
   * Makes a change, once. `earlierId` continues an earlier call that ended in LICD_UNKNOWN_OUTCOME.
   *
   * @throws LicdError as `ask`, and LICD_UNKNOWN_OUTCOME: it may or may not have taken effect; its message has the id
   */
  async change<Operation extends ChangeOperation>(
    operation: Operation,
    request: Omit<CtlRequests[Operation], keyof Change>,
    earlierId?: string,
  ): Promise<Changed> {
    const { clock, by, random } = this.#options
    const id = earlierId ?? random.id()
    let fresh = earlierId === undefined
    // A tick of before its first copy, or 0 for one that is not known; each copy says it (R8).
    let since = fresh ? undefined : 0
    const end = clock.now() + this.#timeoutMs
    // Once one attempt may have been heard, only an answer by id tells how the command ended.
    let isSent = false
    let refusal: LicdError | undefined
    let patienceMs = firstAttemptMs
    const pause = { ms: pauseMinMs }
    const token = this.#post.token()
    for (let left = this.#timeoutMs; left > 0; left = end - clock.now()) {
      const mostMs = Math.min(left, attemptMs)
      const timeoutMs = Math.max(1, Math.floor(mostMs - Math.min(slackMs, mostMs / 4)))
      const more = since === undefined ? {} : { since }
      const sealed = this.#signing.signs
        ? await this.#signing.seal({ operation, id, ...more, request: { ...request } }, left)
        : undefined
      since ??= sealed?.since
      const body = { ...request, id, by, timeoutMs, ...(fresh ? { fresh } : {}), ...sealed }
      const known = this.#leader
      const server = this.#options.server ?? known?.name
      const isHint = server !== this.#options.server
      const waitMs = Math.min(mostMs, patienceMs)
      const attempt = await this.#post.attempt(operation, body, {
        server,
        waitMs,
        token,
        repeats: isHint,
        // What is sent again goes by itself: a server that takes no lists may have got it in one.
        atOnce: fresh && known !== undefined && known.name === server ? known.atOnce : 1,
      })
      const wasFresh = fresh
      fresh = false
      this.#leader = attempt.type === 'answer' ? leaderIn(attempt.fields) : undefined
      if (attempt.type === 'unheard') {
        // Who led may be gone: anybody else is asked at once.
        if (isHint) continue
        if (!isSent) throw attempt.error
      }
      if (attempt.type === 'silent') {
        isSent = true
        patienceMs *= 2
        continue
      }
      if (attempt.type === 'answer') {
        if (attempt.fields.ok === true) return readChanged(operation, attempt.fields)
        refusal = refusalOf(attempt.fields)
        if (refusal.code === 'LICD_STALE_SIGNATURE') this.#signing.forget()
        // The deadline of one copy says nothing of another one: of an attempt before, or of an earlier call (R8).
        if (refusal.code === 'LICD_DEADLINE') {
          // A server that was behind without knowing it counts it from long ago.
          if (wasFresh) continue
          if (!isSent)
            return await this.#settle(operation, id, earlierId === undefined ? refusal : undefined)
        } else if (!passing.has(refusal.code)) throw refusal
      }
      isSent ||= refusal?.code === 'LICD_UNKNOWN_OUTCOME'
      const told = attempt.type === 'answer' ? refusal : undefined
      if (!(await this.#again(told, end, pause))) break
    }
    if (!isSent && refusal !== undefined && earlierId === undefined) throw refusal
    return await this.#settle(operation, id)
  }

  /** What became of a change, by its id. `refusal`: what was said of it, which holds if its id is not known. */
  async #settle(operation: CtlOperation, id: string, refusal?: LicdError): Promise<Changed> {
    const unknown = (cause?: unknown) =>
      new LicdError('LICD_UNKNOWN_OUTCOME', `No answer to \`${operation}\`, id ${id}.`, { cause })
    let answer: Answered<'outcome'>
    try {
      answer = await this.ask('outcome', { id }, { timeoutMs: outcomeMs })
    } catch (cause) {
      throw unknown(cause)
    }
    const { outcome, result, server } = answer
    if (outcome === 'unknown' || result === undefined) throw refusal ?? unknown()
    if (!result.ok) throw refusalOf({ ...result })
    return { server, revision: result.revision, duplicate: true }
  }

  /**
   * Hands the leader's office over, to `to` or whoever is fit. Sent once: without `to`, twice would be two hand-overs.
   *
   * @throws LicdError as `ask`, and LICD_UNKNOWN_OUTCOME
   */
  async transferLeader(to: string | undefined): Promise<Answered<'transfer-leader'>> {
    const timeoutMs = this.#timeoutMs
    const asked = { by: this.by, ...(to === undefined ? {} : { to }) }
    const { server } = this.#options
    const request = { ...(await this.#signed('transfer-leader', asked, timeoutMs)), timeoutMs }
    const waitMs = timeoutMs + slackMs
    const attempt = await this.#post.attempt('transfer-leader', request, { server, waitMs })
    if (attempt.type === 'unheard') throw attempt.error
    if (attempt.type === 'silent') throw new LicdError('LICD_UNKNOWN_OUTCOME', 'Nobody answered.')
    if (attempt.fields.ok !== true) throw refusalOf(attempt.fields)
    return readAnswer('transfer-leader', attempt.fields)
  }

  /** A request that is no change, with an id of its own under the signature: what is repeated is seen as that. */
  async #signed(operation: CtlOperation, request: object, timeoutMs: number): Promise<object> {
    const id = this.#options.random.id()
    const { signed } = await this.#signing.seal(
      { operation, id, request: { ...request } },
      timeoutMs,
    )
    return { ...request, ...(signed === undefined ? {} : { signed }) }
  }

  get #timeoutMs(): number {
    return this.#options.timeoutMs ?? 10_000
  }

  /** Waits for the next attempt, as long as the refusal asks for. False, at once, where that is beyond the end. */
  async #again(
    refusal: LicdError | undefined,
    end: number,
    pause: { ms: number },
  ): Promise<boolean> {
    const left = end - this.#options.clock.now()
    const { retryAfterMs = 0 } = refusal ?? {}
    if (retryAfterMs > left) return false
    await this.#pause(Math.min(Math.max(pause.ms, retryAfterMs), left))
    pause.ms = Math.min(2 * pause.ms, pauseMaxMs)
    return true
  }

  #pause(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    return new Promise(resolve => void this.#options.clock.after(ms, resolve))
  }
}

function readAnswer<Operation extends CtlOperation>(
  operation: Operation,
  fields: Fields,
): Answered<Operation> {
  if (isAnswer(operation, fields)) return fields
  throw new LicdError('LICD_BAD_VERSION', `The answer to \`${operation}\` has another form.`)
}

function leaderIn({ leader, server, atOnce }: Fields): Leader | undefined {
  if (typeof leader !== 'string' || !isServerName(leader)) return undefined
  const isOwnWord = server === leader && typeof atOnce === 'number' && atOnce >= 1
  return { name: leader, atOnce: isOwnWord ? Math.min(atOnce, ctlBounds.changesAtOnce) : 1 }
}

function readChanged(operation: ChangeOperation, fields: Fields): Changed {
  const answer: Applied & { server: string } = readAnswer(operation, fields)
  return answer
}

/** A server of a later version may know codes that this one does not: they are kept in the message. */
function refusalOf(fields: Fields): LicdError {
  const { code, detail, retryAfterMs } = fields
  const text = typeof detail === 'string' && detail !== '' ? detail : undefined
  const options = typeof retryAfterMs === 'number' && retryAfterMs > 0 ? { retryAfterMs } : {}
  if (typeof code === 'string' && isCode(code)) return new LicdError(code, text, options)
  return new LicdError('LICD_INTERNAL', `The server refused with ${String(code)}: ${text ?? ''}`)
}
