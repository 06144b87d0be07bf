/**
 * The end of the license code that a seat stands on, as a server tells it of what it grants and renews, and in words.
 *
 * A promise that the end cuts short is known by it alone (`isCut`): a client needs no clock that agrees with the pool's.
 */
import { isWhole } from './seat-check.ts'
import type { SeatEnd } from './seat.ts'

/** How long ahead clients are told: time to save one's work, or to get another code. */
export const aheadMs = 3_600_000

/** Characters of a code's id. */
export const codeIdMax = 256

/** The fields of one as they came; `undefined` for what is none. */
export function readEnd(row: unknown): SeatEnd | undefined {
  const [code, at, inMs] = Array.isArray(row) ? (row as readonly unknown[]) : []
  if (typeof code !== 'string' || code.length < 1 || code.length > codeIdMax) return undefined
  return isWhole(at) && isWhole(inMs) && at <= 8.64e15 ? { code, at, inMs } : undefined
}

/** True when the promise ends because the code does. */
export function isCut(expiresInMs: number, end: SeatEnd): boolean {
  return end.inMs <= expiresInMs
}

/** `2026-11-29 12:00:00 UTC` */
export function momentOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
