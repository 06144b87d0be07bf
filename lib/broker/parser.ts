/**
 * Turns the bytes a client sends into operations of the NATS client protocol (docs.nats.io, "Client Protocol").
 *
 * It trusts nothing: a control line is bounded, a payload is bounded before a byte of it is read, and whatever
 * does not parse is one `fault`, after which the parser is done and takes no more. So a client can make it hold
 * at most one control line and one payload.
 */
import assert from 'node:assert/strict'

/** Longest control line in bytes, as in nats-server. */
export const controlLineMax = 4096

export type Operation =
  | { readonly type: 'connect'; readonly options: ConnectOptions }
  | { readonly type: 'ping' }
  | { readonly type: 'pong' }
  | Subscribe
  | { readonly type: 'unsubscribe'; readonly sid: string; readonly max: number | undefined }
  | Publish
  | { readonly type: 'fault'; readonly fault: Fault }

export interface Subscribe {
  readonly type: 'subscribe'
  readonly subject: string
  readonly queue: string | undefined
  readonly sid: string
}

export interface Publish {
  readonly type: 'publish'
  readonly subject: string
  readonly reply: string | undefined
  /** How many of the first bytes of `data` are headers; 0 for none. */
  readonly headerBytes: number
  /** Headers and payload. A view of what the socket gave, which nobody writes to again. */
  readonly data: Buffer
}

export interface ConnectOptions {
  readonly verbose: boolean
  readonly pedantic: boolean
  readonly echo: boolean
  readonly headers: boolean
  readonly noResponders: boolean
}

/** What is sent with `-ERR` before the connection is closed; the words are nats-server's, clients compare them. */
export type Fault =
  'Unknown Protocol Operation' | 'maximum control line exceeded' | 'Maximum Payload Violation'

const unknown = { type: 'fault', fault: 'Unknown Protocol Operation' } as const
const lineTooLong = { type: 'fault', fault: 'maximum control line exceeded' } as const
const payloadTooLong = { type: 'fault', fault: 'Maximum Payload Violation' } as const

/** A publication whose control line has been read and whose payload has not. */
interface Awaited {
  readonly subject: string
  readonly reply: string | undefined
  readonly headerBytes: number
  readonly bytes: number
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

export class Parser {
  readonly #payloadMax: number
  #chunks: Buffer[] = []
  #held = 0
  /** How many bytes must be there before it is worth looking again: payloads arrive in many chunks. */
  #needed = 1
  #awaited: Awaited | undefined
  #done = false

  constructor(options: { readonly payloadMax: number }) {
    this.#payloadMax = options.payloadMax
  }

  /** The operations that `chunk` completes, in order. After a fault, which is the last, nothing is read. */
  read(chunk: Buffer): Operation[] {
    if (this.#done) return []
    this.#chunks.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#needed) return []
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#held)
    const operations: Operation[] = []
    let at = 0
    while (!this.#done) {
      const step = this.#awaited === undefined ? this.#line(bytes, at) : this.#payload(bytes, at)
      if (step === undefined) break
      at = step.at
      if (step.operation === undefined) continue
      operations.push(step.operation)
      this.#done = step.operation.type === 'fault'
    }
    const left = this.#done ? bytes.subarray(0, 0) : bytes.subarray(at)
    this.#chunks = left.length === 0 ? [] : [left]
    this.#held = left.length
    this.#needed = this.#awaited === undefined ? left.length + 1 : this.#awaited.bytes + 2
    assert(this.#held <= controlLineMax || this.#awaited !== undefined)
    return operations
  }

  #line(bytes: Buffer, from: number): { at: number; operation: Operation | undefined } | undefined {
    const end = bytes.indexOf(lineFeed, from)
    if ((end === -1 ? bytes.length : end) - from > controlLineMax) {
      return { at: bytes.length, operation: lineTooLong }
    }
    if (end === -1) return undefined
    const stop = end > from && bytes[end - 1] === carriageReturn ? end - 1 : end
    // Latin-1 keeps every byte of a subject as it came, and is written back the same.
    return { at: end + 1, operation: this.#parse(bytes.toString('latin1', from, stop)) }
  }

  #payload(bytes: Buffer, from: number): { at: number; operation: Operation } | undefined {
    const awaited = this.#awaited
    assert(awaited !== undefined)
    const end = from + awaited.bytes
    if (bytes.length < end + 2) return undefined
    this.#awaited = undefined
    if (bytes[end] !== carriageReturn || bytes[end + 1] !== lineFeed) {
      return { at: end, operation: unknown }
    }
    const { subject, reply, headerBytes } = awaited
    const data = bytes.subarray(from, end)
    return { at: end + 2, operation: { type: 'publish', subject, reply, headerBytes, data } }
  }

  #parse(line: string): Operation | undefined {
    const blank = line.search(/[ \t]/)
    const name = (blank === -1 ? line : line.slice(0, blank)).toUpperCase()
    const rest = blank === -1 ? '' : line.slice(blank + 1)
    const words = rest.split(/[ \t]+/).filter(word => word !== '')
    switch (name) {
      case 'PUB':
        return this.#publish(words, false)
      case 'HPUB':
        return this.#publish(words, true)
      case 'SUB':
        return parseSubscribe(words)
      case 'UNSUB':
        return parseUnsubscribe(words)
      case 'PING':
        return { type: 'ping' }
      case 'PONG':
        return { type: 'pong' }
      case 'CONNECT':
        return parseConnect(rest)
      // A client may answer so too; nothing follows from it.
      case '+OK':
        return undefined
      default:
        return unknown
    }
  }

  /** `PUB subject [reply] bytes`, `HPUB subject [reply] header-bytes bytes`: what it says awaits its payload. */
  #publish(words: readonly string[], hasHeaders: boolean): Operation | undefined {
    const sizes = words.slice(hasHeaders ? -2 : -1).map(parseSize)
    const names = words.slice(0, hasHeaders ? -2 : -1)
    const bytes = sizes.at(-1)
    const headerBytes = hasHeaders ? sizes[0] : 0
    const [subject, reply] = names
    if (subject === undefined || names.length > 2) return unknown
    if (bytes === undefined || headerBytes === undefined) return unknown
    if (bytes > this.#payloadMax) return payloadTooLong
    // The shortest header block is `NATS/1.0` and two line ends.
    if (hasHeaders && (headerBytes < 12 || headerBytes > bytes)) return unknown
    this.#awaited = { subject, reply, headerBytes, bytes }
    return undefined
  }
}

function parseSize(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined
}

/** `SUB subject [queue] sid` */
function parseSubscribe(words: readonly string[]): Operation {
  const [subject, second, third] = words
  if (subject === undefined || second === undefined || words.length > 3) return unknown
  return third === undefined
    ? { type: 'subscribe', subject, queue: undefined, sid: second }
    : { type: 'subscribe', subject, queue: second, sid: third }
}

/** `UNSUB sid [max]` */
function parseUnsubscribe(words: readonly string[]): Operation {
  const [sid, count] = words
  if (sid === undefined || words.length > 2) return unknown
  if (count === undefined) return { type: 'unsubscribe', sid, max: undefined }
  const max = parseSize(count)
  return max === undefined ? unknown : { type: 'unsubscribe', sid, max }
}

/** `CONNECT {json}`; credentials in it are not looked at, for the broker asks for none. */
function parseConnect(text: string): Operation {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    return unknown
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return unknown
  const options = new Map<string, unknown>(Object.entries(given))
  const flag = (name: string, absent: boolean): boolean | undefined => {
    const value = options.get(name) ?? absent
    return typeof value === 'boolean' ? value : undefined
  }
  // What is left out is true where nats-server has it so.
  const verbose = flag('verbose', true)
  const pedantic = flag('pedantic', true)
  const echo = flag('echo', true)
  const headers = flag('headers', false)
  const noResponders = flag('no_responders', false)
  if (verbose === undefined || pedantic === undefined || echo === undefined) return unknown
  if (headers === undefined || noResponders === undefined) return unknown
  // nats-server refuses this too: the notice is a message that consists of headers.
  if (noResponders && !headers) return unknown
  return { type: 'connect', options: { verbose, pedantic, echo, headers, noResponders } }
}
