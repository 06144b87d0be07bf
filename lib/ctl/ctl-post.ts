/**
 * The operator's messages: each attempt at a request is sent and its answer awaited, for as long as it is told.
 *
 * Changes of one kind that are asked of a server in one turn go to it in one message, where the server has said that
 * it takes them so; it answers those that end in one turn in one message as well. What is sent again goes by itself.
 *
 * Bounded: `pendingMax` attempts under way, each ends by its time; a list is forgotten when all of it was answered,
 * or when there are more lists than attempts can be under way.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { Bus, BusMessage, Clock, Subscription, Timer } from '../../raft/ports.ts'
import { LicdError, type Code } from '../error.ts'
import { ctlBounds, type CtlOperation } from '../protocol/ctl.ts'
import { subjects, type Subjects } from '../protocol/subject.ts'

export type Fields = Readonly<Record<string, unknown>>

/** How one attempt ended. `silent` may have been heard; `unheard` was not. */
export type Attempt =
  | { readonly type: 'answer'; readonly fields: Fields }
  | { readonly type: 'silent' }
  | { readonly type: 'unheard'; readonly error: LicdError }

export interface AttemptOptions {
  /** Whoever answers, when undefined. */
  readonly server: string | undefined
  readonly waitMs: number
  /** Answers to earlier attempts under it count. */
  readonly token?: string
  /** Sent once more after `repeatMs`, to the same. */
  readonly repeats?: boolean
  /** How many of its kind the server takes in one message; 1 when it never said so. */
  readonly atOnce?: number
}

const pendingMax = 1_000
/** Who led is told again after so long: a broker of another host may have learned by then that it is gone. */
const repeatMs = 200
const listBytesMax = 64 * 1024
/** What begins the last part of the subject of a list's answers; tokens are numbers. */
const listMark = 'L'

/** What is to be sent to one subject. */
interface Item {
  readonly token: string
  readonly data: Uint8Array
}

export class Post {
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #pool: string
  readonly #subjects: Subjects
  readonly #inbox: string
  readonly #packr = new Packr({ useRecords: false, int64AsType: 'number' })
  readonly #subscription: Subscription
  readonly #pending = new Map<string, (attempt: Attempt) => void>()
  /** Tokens of what went in one message, by its number, and how many of them are not answered. */
  readonly #lists = new Map<string, { readonly tokens: readonly string[]; open: number }>()
  /** What leaves at the end of this turn, by subject. */
  #outgoing = new Map<string, { readonly atOnce: number; readonly items: Item[] }>()
  #tokens = 0
  #listed = 0
  #isClosed = false

  /** Throws LICD_BAD_CONFIG for a pool name that is none. */
  constructor({ bus, clock, pool }: { bus: Bus; clock: Clock; pool: string }) {
    this.#bus = bus
    this.#clock = clock
    this.#pool = pool
    this.#subjects = subjects(pool)
    this.#inbox = `${bus.inbox}.ctl`
    this.#subscription = bus.subscribe(`${this.#inbox}.*`, message => this.#receive(message))
  }

  /** Ends what is under way with LICD_CLOSED. Twice does no harm. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#subscription.unsubscribe()
    const error = new LicdError('LICD_CLOSED')
    for (const done of [...this.#pending.values()]) done({ type: 'unheard', error })
  }

  token(): string {
    return String(++this.#tokens)
  }

  attempt(
    operation: CtlOperation,
    request: object,
    { server, waitMs, token = this.token(), repeats = false, atOnce = 1 }: AttemptOptions,
  ): Promise<Attempt> {
    const unheard = (code: Code, detail?: string): Promise<Attempt> =>
      Promise.resolve({ type: 'unheard', error: new LicdError(code, detail) })
    if (this.#isClosed) return unheard('LICD_CLOSED')
    if (this.#pending.size >= pendingMax) return unheard('LICD_TOO_BUSY')
    const data = this.#packr.pack(request)
    if (data.byteLength > Math.min(ctlBounds.messageBytes, this.#bus.maxPayload)) {
      return unheard('LICD_TOO_LARGE', `The request has ${data.byteLength} bytes.`)
    }
    const subject =
      server === undefined ? this.#subjects.ctl(operation) : this.#subjects.ctlAt(operation, server)
    const item = { token, data }
    return new Promise<Attempt>(resolve => {
      this.#await(item, subject, { server, waitMs, repeats }, resolve)
      if (atOnce > 1) this.#put(subject, item, atOnce)
      else this.#send(subject, item)
    })
  }

  /** `resolve` is called once: with the answer, or when the time is over. */
  #await(
    item: Item,
    subject: string,
    {
      server,
      waitMs,
      repeats,
    }: Required<Pick<AttemptOptions, 'waitMs' | 'repeats'>> & Pick<AttemptOptions, 'server'>,
    resolve: (attempt: Attempt) => void,
  ): void {
    const { token, data } = item
    const clock = this.#clock
    let isRepeated = false
    let timer: Timer | undefined
    const silent = (): void => done({ type: 'silent' })
    const done = (attempt: Attempt): void => {
      if (!this.#pending.delete(token)) return
      timer?.cancel()
      if (attempt.type !== 'unheard') resolve(attempt)
      // Nobody heard the copy; somebody may have heard what was sent first.
      else if (isRepeated && attempt.error.code === 'LICD_NO_SERVER') resolve({ type: 'silent' })
      else resolve(this.#name(attempt.error, server))
    }
    this.#pending.set(token, done)
    if (!repeats || repeatMs >= waitMs) {
      timer = clock.after(waitMs, silent)
      return
    }
    timer = clock.after(repeatMs, () => {
      timer = clock.after(waitMs - repeatMs, silent)
      isRepeated = true
      this.#publish(subject, data, token)
    })
  }

  /** With what else is asked of that server in this turn. */
  #put(subject: string, item: Item, atOnce: number): void {
    const waiting = this.#outgoing.get(subject)
    if (waiting !== undefined) {
      waiting.items.push(item)
      return
    }
    this.#outgoing.set(subject, { atOnce, items: [item] })
    // After everybody whom the same answers woke: their turn to ask comes before this one.
    if (this.#outgoing.size === 1) void Promise.resolve().then(() => this.#flush())
  }

  #flush(): void {
    const outgoing = this.#outgoing
    this.#outgoing = new Map()
    // Whoever asked was told that nobody heard it.
    if (this.#isClosed) return
    for (const [subject, { atOnce, items }] of outgoing) {
      let list: Item[] = []
      let bytes = 0
      for (const item of items) {
        if (list.length === atOnce || bytes + item.data.length > listBytesMax) {
          this.#sendList(subject, list)
          list = []
          bytes = 0
        }
        list.push(item)
        bytes += item.data.length
      }
      this.#sendList(subject, list)
    }
  }

  #sendList(subject: string, list: readonly Item[]): void {
    const [first] = list
    if (first === undefined) return
    if (list.length === 1) {
      this.#send(subject, first)
      return
    }
    const name = `${listMark}${++this.#listed}`
    const tokens = list.map(({ token }) => token)
    this.#lists.set(name, { tokens, open: tokens.length })
    if (this.#lists.size > pendingMax) {
      const [oldest = ''] = this.#lists.keys()
      this.#lists.delete(oldest)
    }
    // A msgpack array is its head and the bytes of its items.
    const head = Buffer.from([0xdc, list.length >>> 8, list.length & 0xff])
    const data = Buffer.concat([head, ...list.map(item => item.data)])
    if (!this.#publish(subject, data, name)) this.#unheard(name, 'LICD_NATS_UNREACHABLE')
  }

  #send(subject: string, { token, data }: Item): void {
    if (this.#publish(subject, data, token)) return
    const error = new LicdError('LICD_NATS_UNREACHABLE')
    this.#pending.get(token)?.({ type: 'unheard', error })
  }

  #publish(subject: string, data: Uint8Array, name: string): boolean {
    return this.#bus.publish(subject, data, { reply: `${this.#inbox}.${name}` })
  }

  #unheard(list: string, code: Code): void {
    const { tokens = [] } = this.#lists.get(list) ?? {}
    this.#lists.delete(list)
    for (const token of tokens) {
      this.#pending.get(token)?.({ type: 'unheard', error: new LicdError(code) })
    }
  }

  /** Names the server or pool that nobody answered for. */
  #name(error: LicdError, server: string | undefined): Attempt {
    if (error.code !== 'LICD_NO_SERVER') return { type: 'unheard', error }
    const detail =
      server === undefined ? `Pool ${this.#pool}:` : `Pool ${this.#pool}, server ${server}:`
    return { type: 'unheard', error: new LicdError('LICD_NO_SERVER', detail) }
  }

  #receive(message: BusMessage): void {
    const token = message.subject.slice(this.#inbox.length + 1)
    if (token.startsWith(listMark)) {
      this.#receiveList(token, message)
      return
    }
    const done = this.#pending.get(token)
    // A late answer to an attempt that was given up: the id tells the same later.
    if (done === undefined) return
    if (message.noResponders) done({ type: 'unheard', error: new LicdError('LICD_NO_SERVER') })
    else done(attemptOf(unpackPlain(this.#packr, message.data)))
  }

  /** Pairs of place and answer. Anything else is of a server that takes no lists: each is asked for by itself again. */
  #receiveList(name: string, message: BusMessage): void {
    if (message.noResponders) return this.#unheard(name, 'LICD_NO_SERVER')
    const list = this.#lists.get(name)
    if (list === undefined) return
    const answers = unpackPlain(this.#packr, message.data)
    if (!Array.isArray(answers)) {
      this.#lists.delete(name)
      for (const token of list.tokens) this.#pending.get(token)?.({ type: 'silent' })
      return
    }
    for (const pair of answers as readonly unknown[]) {
      const [place, answer] = Array.isArray(pair) ? (pair as readonly unknown[]) : []
      const token = typeof place === 'number' ? list.tokens[place] : undefined
      if (token === undefined) continue
      list.open--
      this.#pending.get(token)?.(attemptOf(answer))
    }
    if (list.open <= 0) this.#lists.delete(name)
  }
}

function attemptOf(answer: unknown): Attempt {
  if (typeof answer === 'object' && answer !== null) {
    const fields = answer as Fields
    if (typeof fields.ok === 'boolean' && typeof fields.server === 'string') {
      return { type: 'answer', fields }
    }
  }
  const error = new LicdError('LICD_BAD_VERSION', 'The answer cannot be read.')
  return { type: 'unheard', error }
}
