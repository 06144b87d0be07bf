/**
 * A decoder as the fuzzer sees it.
 *
 * What every one of them promises, for any bytes: it returns, within a time and a memory that the bytes' number bounds; it
 * gives a value or refuses (`undefined`, or a coded error); what it gives comes back the same from its own encoder; and
 * it does not remember what it read: a valid message reads the same after any garbage.
 */
import { RaftError } from '../../raft/error.ts'
import { LicdError } from '../../lib/error.ts'

export interface Target {
  readonly name: string
  /** How the valid bodies are written, and so how they are best spoilt. */
  readonly form: 'msgpack' | 'json' | 'bytes'
  /** Valid bodies, made by the real encoders: each must read as a value. */
  readonly corpus: readonly Uint8Array[]
  /** What goes around a body before it is read: checksum, MAC, signature. Else only its first check would be tried. */
  readonly seal?: (body: Uint8Array) => Uint8Array
  /** The value, or `undefined` where it refuses. */
  readonly read: (bytes: Uint8Array) => unknown
  /** Bytes of a value that `read` gave. */
  readonly write?: (value: never) => Uint8Array
}

/** Makes a target whose `write` takes what its `read` gives. */
export function target<Value>(
  made: Omit<Target, 'read' | 'write'> & {
    readonly read: (bytes: Uint8Array) => Value | undefined | Promise<Value | undefined>
    readonly write?: (value: Value) => Uint8Array
  },
): Target {
  return made
}

/** What `read` gives, `undefined` where it throws one of our coded errors; any other error is a finding. */
export function codedOr<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof LicdError || error instanceof RaftError) return undefined
    throw error
  }
}

/** The same for what takes its time. */
export async function codedOrLater<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof LicdError || error instanceof RaftError) return undefined
    throw error
  }
}

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
export const bytesOf = (text: string): Uint8Array => Buffer.from(text)
export const jsonBytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/** A text that is the same for equal values, whatever kind of bytes they hold. */
export function canonical(value: unknown): string {
  return JSON.stringify(plain(value)) ?? 'undefined'
}

function plain(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'bigint') return `${String(value)}n`
  if (value instanceof Uint8Array) return `hex ${Buffer.from(value).toString('hex')}`
  if (value instanceof Map) return [...value].map(plain)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}
