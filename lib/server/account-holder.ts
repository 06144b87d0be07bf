/**
 * The pool's NATS account at this server: whom its nats-server shuts out (docs/SECURITY.md).
 *
 * An operator brings a newer account to any server, which hands it to all others at once. Who was down then is told when it
 * is back: every server asks the others what they have, all of them at its start and one after the other from then on, and
 * takes what is newer. So it spreads as well from a host where it was taken by hand. That an account is the pool's says its
 * signature, whoever brings it: nothing of it stands in the ledger, which only notes who brought it and who took it.
 *
 * Bounded: one account is taken at a time, a question to a server is given up after `answerMs`, and at most one to each
 * server is under way.
 */
import { Packr } from 'msgpackr'
import type { BusMessage, Subscription, Timer } from '../../raft/ports.ts'
import type { Bus, Clock, Logger } from '../../raft/ports.ts'
import { claimsOf, type AccountClaims } from '../access/nats-account.ts'
import { codes, LicdError } from '../error.ts'
import type { CommandBody } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import {
  accountBounds,
  inForceMs,
  type AccountAt,
  type AccountStanding,
} from '../protocol/account.ts'
import type { Subjects } from '../protocol/subject.ts'
import { busy, refuse, type Fields, type Read, type Refusal } from './ctl-request.ts'
import { answerWith, decodeRequest, type Answer } from './ctl-wire.ts'
import type { Outcome } from './parts.ts'

/** An account that is in the configuration of a nats-server. */
export interface HeldAccount {
  readonly jwt: string
  /** Seconds since 1970. */
  readonly issuedAt: number
  /** How many it shuts out. */
  readonly revoked: number
}

/** Where the account lies. Each calls back once, with what is there or why it cannot be. */
export interface AccountStore {
  /** `undefined` for none: the nats-server is configured elsewhere. */
  read(done: (held: HeldAccount | undefined, problem?: LicdError) => void): void
  /** Checks it, and takes it into the configuration if it is newer. */
  take(
    jwt: string,
    done: (
      held: (HeldAccount & { readonly unchanged: boolean }) | undefined,
      problem?: LicdError,
    ) => void,
  ): void
  /** Has the nats-server read its configuration again; absent where licd does not run it. */
  readonly load: (() => void) | undefined
}

export interface AccountHolderOptions {
  readonly server: string
  /** Absent: NATS is configured elsewhere. */
  readonly store: AccountStore | undefined
  readonly subjects: Subjects
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly state: () => LedgerState
  /** 0 while there is none: before it serves it proposes nothing. */
  readonly incarnation: () => number
  readonly submit: (body: CommandBody, done: (outcome: Outcome) => void) => void
}

/** From one question to another server to the next one. */
const everyMs = 10_000
const firstMs = 1_000
/** Not all nats-servers at once, and answers go out before. */
const { answerMs, stepMs } = accountBounds
const packr = new Packr({ useRecords: false, moreTypes: false })

export class AccountHolder {
  readonly #options: AccountHolderOptions
  readonly #inbox: string
  readonly #pending = new Map<string, (fields: Fields | undefined) => void>()
  #subscription: Subscription | undefined
  #timer: Timer | undefined
  #asked = 0
  #rounds = 0
  #isTaking = false
  /** What was there last time; of that on, what changes is told to the pool. */
  #known: number | undefined
  #untold: CommandBody | undefined
  #isTelling = false

  constructor(options: AccountHolderOptions) {
    this.#options = options
    this.#inbox = `${options.bus.inbox}.account`
  }

  start(): void {
    const { bus, clock, store } = this.#options
    if (store === undefined) return
    this.#subscription = bus.subscribe(`${this.#inbox}.*`, message => this.#receive(message))
    this.#timer = clock.after(firstMs, () => this.#round())
  }

  close(): void {
    this.#timer?.cancel()
    this.#subscription?.unsubscribe()
    for (const done of [...this.#pending.values()]) done(undefined)
  }

  /** Operation `account`: what is here; and before, what whoever asks brings along. */
  answer({ have, account, waitMs }: Fields, done: (answer: Answer) => void): void {
    const answer = (standing: AccountStanding): void => done(answerWith('account', standing))
    if (account !== undefined) {
      const wait = typeof waitMs === 'number' && waitMs >= 0 ? waitMs : stepMs
      return this.#take(account, wait, taken => {
        if (taken.ok) answer(taken.value)
        else done(taken)
      })
    }
    return this.#read((held, problem) => {
      if (problem !== undefined) return done(refusalOf(problem))
      if (held === undefined) return answer({ state: 'elsewhere' })
      const { jwt, issuedAt, revoked } = held
      const isNews = typeof have === 'number' && have < issuedAt
      return answer({
        ...{ state: 'held', issuedAt, revoked, loads: this.#loads },
        ...(isNews ? { account: jwt } : {}),
      })
    })
  }

  /** Whether an account is one to hand on; what the audit log is to say of it. */
  judge({ account }: Fields, done: (judged: Read<string>) => void): void {
    const claims = readClaims(account)
    if (!claims.ok) return done(claims)
    return this.#read((held, problem) => {
      if (problem !== undefined) return done(refusalOf(problem))
      if (held === undefined) {
        const where = `The nats-server of ${this.#options.server} is configured elsewhere.`
        return done(refuse('LICD_BAD_CONFIG', `${where} Ask another server.`))
      }
      const { sub, iss, iat, revocations } = claims.value
      const present = claimsOf(held.jwt)
      if (present.sub !== sub || present.iss !== iss) {
        return done(refuse('LICD_WRONG_POOL', 'The account is another pool\u2019s.'))
      }
      if (iat < held.issuedAt) {
        return done(refuse('LICD_BAD_KEY', 'The account is older than what the pool has.'))
      }
      return done({ ok: true, value: describe(iat, Object.keys(revocations).length) })
    })
  }

  /** Operation `account-push`, once it stands in the audit log: takes it here and hands it to every other server. */
  push({ account }: Fields, done: (answer: Answer) => void): void {
    const { server } = this.#options
    const others = this.#others()
    // Last: an answer must get out of here before the nats-server lets go of its clients.
    this.#take(account, inForceMs(others.length + 1), taken => {
      if (!taken.ok) return done(taken)
      const { state, loads = false, issuedAt = 0, revoked = 0 } = taken.value
      const servers: AccountAt[] = [{ server, state, loads }]
      const finish = (): void => {
        if (servers.length <= others.length) return
        servers.sort((a, b) => (a.server < b.server ? -1 : 1))
        done(answerWith('account-push', { issuedAt, revoked, servers }))
      }
      others.forEach((name, n) => {
        this.#ask(name, { account, waitMs: stepMs * (n + 1) }, fields => {
          servers.push(standingAt(name, fields))
          finish()
        })
      })
      return finish()
    })
  }

  get #loads(): boolean {
    return this.#options.store?.load !== undefined
  }

  #others(): string[] {
    const { state, server } = this.#options
    return [...state().servers.values()]
      .filter(({ name, role }) => role !== 'removed' && name !== server)
      .map(({ name }) => name)
      .sort()
  }

  /** Asks the others whether they have a newer one. */
  #round(): void {
    const { clock } = this.#options
    this.#timer = clock.after(everyMs, () => this.#round())
    this.#tell()
    this.#read(held => {
      // Configured elsewhere, or not to be read now.
      if (held === undefined) return
      const others = this.#others()
      if (others.length === 0) return
      const turn = others[this.#rounds % others.length]
      const asked = this.#rounds === 0 ? others : turn === undefined ? [] : [turn]
      this.#rounds++
      for (const name of asked) {
        this.#ask(name, { have: held.issuedAt }, fields => this.#heard(name, fields))
      }
    })
  }

  #heard(from: string, fields: Fields | undefined): void {
    const account = fields?.account
    if (account === undefined) return
    this.#take(account, stepMs, taken => {
      // Several had it: one is enough.
      if (taken.ok || taken.code === 'LICD_TOO_BUSY') return
      const { code, detail } = taken
      this.#options.log.warn('account-refused', { from, code, why: detail })
    })
  }

  #read(done: Parameters<AccountStore['read']>[0]): void {
    const { store } = this.#options
    if (store === undefined) return done(undefined)
    store.read((held, problem) => {
      if (problem !== undefined) this.#options.log.warn('account-unreadable', { error: problem })
      if (held !== undefined) this.#found(held)
      done(held, problem)
    })
  }

  /** `waitMs`: before the nats-server reads it. */
  #take(jwt: unknown, waitMs: number, done: (taken: Read<AccountStanding>) => void): void {
    const { store, clock, log } = this.#options
    const shaped = readText(jwt)
    if (!shaped.ok) return done(shaped)
    if (this.#isTaking) return done(busy('The server takes an account just now.'))
    this.#isTaking = true
    // What was there before is known first: what comes after it is news.
    return this.#read(before => {
      if (before === undefined || store === undefined) {
        this.#isTaking = false
        return done({ ok: true, value: { state: 'elsewhere' } })
      }
      return store.take(shaped.value, (held, problem) => {
        this.#isTaking = false
        if (held === undefined) return done(refusalOf(problem))
        const { issuedAt, revoked, unchanged } = held
        const state = unchanged ? 'held' : 'taken'
        if (!unchanged) {
          this.#found(held)
          if (store.load === undefined) log.warn('account-not-loaded', { revoked })
          else clock.after(Math.min(waitMs, accountBounds.waitMs), store.load)
        }
        return done({ ok: true, value: { state, issuedAt, revoked, loads: this.#loads } })
      })
    })
  }

  /** Another one than before, taken here by message or by hand: the audit log says so. */
  #found({ issuedAt, revoked }: HeldAccount): void {
    const known = this.#known
    this.#known = issuedAt
    if (known === undefined || known >= issuedAt) return
    this.#options.log.info('account-taken', { issuedAt, revoked })
    this.#untold = { type: 'note', action: 'account-taken', detail: describe(issuedAt, revoked) }
    this.#tell()
  }

  /** Tried again at each round where it does not come about. */
  #tell(): void {
    const { state, incarnation, submit } = this.#options
    const body = this.#untold
    if (body === undefined || this.#isTelling) return
    if (state().level < 2 || incarnation() === 0) return
    this.#isTelling = true
    submit(body, ({ type }) => {
      this.#isTelling = false
      if (type === 'applied' && this.#untold === body) this.#untold = undefined
    })
  }

  #ask(server: string, request: object, done: (fields: Fields | undefined) => void): void {
    const { bus, clock, subjects } = this.#options
    const token = String(++this.#asked)
    const finish = (fields: Fields | undefined): void => {
      if (!this.#pending.delete(token)) return
      timer.cancel()
      done(fields)
    }
    const timer = clock.after(answerMs, () => finish(undefined))
    this.#pending.set(token, finish)
    const reply = `${this.#inbox}.${token}`
    bus.publish(subjects.ctlAt('account', server), packr.pack(request), { reply })
  }

  #receive({ subject, data, noResponders }: BusMessage): void {
    const done = this.#pending.get(subject.slice(this.#inbox.length + 1))
    done?.(noResponders ? undefined : decodeRequest(data, false))
  }
}

type Refused = Refusal & { readonly ok: false }

function readText(account: unknown): Read<string> {
  if (typeof account !== 'string') {
    return refuse('LICD_BAD_REQUEST', 'Field account must be a text.')
  }
  if (account.length <= accountBounds.jwtBytes) return { ok: true, value: account }
  return refuse('LICD_TOO_LARGE', `The account: ${account.length} bytes.`)
}

function readClaims(account: unknown): Read<AccountClaims> {
  const text = readText(account)
  if (!text.ok) return text
  try {
    return { ok: true, value: claimsOf(text.value) }
  } catch (cause) {
    if (cause instanceof LicdError) return refusalOf(cause)
    throw cause
  }
}

/** What an account is called in the audit log. */
function describe(issuedAt: number, revoked: number): string {
  return `signed ${new Date(issuedAt * 1000).toISOString()}, shuts out ${revoked}`
}

function refusalOf(problem: LicdError | undefined): Refused {
  const { code, message } = problem ?? new LicdError('LICD_STORAGE')
  // Whoever shows it says the code's own words again.
  return refuse(code, message.replace(` ${codes[code]}`, ''))
}

function standingAt(server: string, fields: Fields | undefined): AccountAt {
  if (fields === undefined) return { server, state: 'silent' }
  const { ok, state, loads, code, detail } = fields
  if (ok === true && (state === 'taken' || state === 'held' || state === 'elsewhere')) {
    return { server, state, ...(typeof loads === 'boolean' ? { loads } : {}) }
  }
  if (code === 'LICD_BAD_REQUEST') {
    const what = 'it is of an earlier version: licd account take, on its host'
    return { server, state: 'refused', detail: what }
  }
  return { server, state: 'refused', detail: `${String(code)}: ${String(detail)}` }
}
