/**
 * Whose message is next: each sender has a line of its own, and lines take turns, so that nobody waits for what somebody
 * else sent. A sender whose line is full loses what comes beyond it.
 *
 * A sender is known by where its answers go: the first four parts of the reply subject, without the last. That is the
 * inbox of a connection, and all that NATS says of who sent a message; who changes it with each message has many lines.
 * What is dropped was looked at as bytes alone, for a flood must cost less here than it costs its sender.
 *
 * Bound: a line may be as long as there is room left for all others, so one sender alone has half of it, and a thousand
 * have a thousandth each. 4,096 lines: two senders may share one, and who has not the salt cannot choose with whom.
 */
import { Queue } from './queue.ts'

/** Room for all that waits: a message takes 1, and 1 more for each whole 4 KiB. */
export const roomMax = 16_384
const roomBytes = 4_096
/** Room of what is taken at once in a turn that is no rush, of senders that have nothing waiting, and of what is served at its end. */
const atOnceMax = 32
const servedMax = 64
/**
 * A turn of so many messages, and some turns after it, are a rush: of small ones, for a read of the link is 64 KiB. Not of large ones:
 * they are the renewals of who holds much, which must not wait for what is asked again meanwhile.
 */
const rushMessages = 64
const rushTurns = 8
/** A sender that was told is told again when so many of its messages were served, or all. */
const tellEvery = 256

const linesMax = 4_096
const dot = 0x2e
const parts = 4

/** `now`, `wait`: it is taken. `tell`, `drop`: it is not; the former is the first of its sender in a while. */
export type Verdict = 'now' | 'wait' | 'tell' | 'drop'

interface Line<Message> {
  readonly waiting: Queue<{ readonly message: Message; readonly room: number }>
  room: number
  /** Messages to be served before its sender is told again. */
  untilTold: number
}

export class Turnstile<Message> {
  readonly #drawSalt: () => number
  #salt: number | undefined
  readonly #lines = new Map<number, Line<Message>>()
  /** Lines with something in them, in the order of their turns. */
  readonly #turns = new Queue<Line<Message>>()
  #room = 0
  #atOnce = atOnceMax
  /** Room that may yet be served in this turn; below 0: of those to come. */
  #left = 0
  /** Turns that are a rush yet. */
  #rush = 0
  #messages = 0
  #last: { readonly line: Line<Message>; readonly room: number } | undefined

  /** `drawSalt`: a whole number of 32 bits that clients do not know; called once, when first something has to wait. */
  constructor(drawSalt: () => number) {
    this.#drawSalt = drawSalt
  }

  /** Nothing waits. */
  get isClear(): boolean {
    return this.#turns.size === 0
  }

  /** `reply`: the reply subject as it came, empty where there is none: those are one sender. `bytes`: of the message. */
  judge(reply: Uint8Array, bytes: number): Verdict {
    this.#messages++
    const room = 1 + Math.floor(bytes / roomBytes)
    const mayGo = this.#atOnce > 0 && this.#rush === 0
    if (mayGo && this.isClear) {
      this.#atOnce -= room
      return 'now'
    }
    const line = this.#lineOf(reply)
    if (mayGo && line.room === 0) {
      this.#atOnce -= room
      return 'now'
    }
    if (line.room + room <= roomMax - this.#room) {
      this.#last = { line, room }
      return 'wait'
    }
    if (line.untilTold > 0) return 'drop'
    line.untilTold = tellEvery
    return 'tell'
  }

  /** Nothing more is taken at once in this turn. */
  close(): void {
    this.#atOnce = 0
  }

  /** The message judged last, which has to wait. */
  add(message: Message): void {
    if (this.#last === undefined) return
    const { line, room } = this.#last
    this.#last = undefined
    if (line.room === 0) this.#turns.push(line)
    line.waiting.push({ message, room })
    line.room += room
    this.#room += room
  }

  /**
   * The end of a turn: those whose turn it is, one message of each line after the other. What is left waits for the next.
   * In a rush each line has room of 1, and a message that takes more uses up the turns to come: to read comes first, for
   * behind what is not read everybody waits.
   */
  *turn(): Generator<Message, void> {
    if (this.#messages >= rushMessages) this.#rush = rushTurns
    else if (this.#rush > 0) this.#rush--
    const share = this.#rush > 0 ? Math.min(this.#left, 0) + this.#turns.size : servedMax
    this.#left = Math.min(share, servedMax)
    this.#atOnce = atOnceMax
    this.#messages = 0
    while (this.#left > 0) {
      const line = this.#turns.shift()
      const next = line?.waiting.shift()
      if (line === undefined || next === undefined) return
      this.#left -= next.room
      line.room -= next.room
      this.#room -= next.room
      if (line.untilTold > 0) line.untilTold--
      if (line.room > 0) this.#turns.push(line)
      else line.untilTold = 0
      yield next.message
    }
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#lines.clear()
    this.#turns.clear()
    this.#room = 0
    this.#last = undefined
  }

  #lineOf(reply: Uint8Array): Line<Message> {
    const place = placeOf(reply, (this.#salt ??= this.#drawSalt()))
    let line = this.#lines.get(place)
    if (line === undefined) {
      line = { waiting: new Queue(), room: 0, untilTold: 0 }
      this.#lines.set(place, line)
    }
    return line
  }
}

/** Of a subject of two parts the last one counts as well: it may be all that is the sender's own. */
function placeOf(reply: Uint8Array, salt: number): number {
  let hash = salt
  let sender = salt
  let dots = 0
  for (let at = 0; at < reply.length && dots < parts; at++) {
    const byte = reply[at] ?? 0
    if (byte === dot) {
      sender = hash
      dots++
    }
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return mix(dots < 2 ? hash : sender) & (linesMax - 1)
}

/** Each bit of the result depends on each bit of `hash` (the end of MurmurHash3). */
function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
