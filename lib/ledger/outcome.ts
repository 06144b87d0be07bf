/**
 * What the rules answer, and the surroundings they are given.
 *
 * Every rule of the ledger is a function of a `Context` and the body of one command: it checks first, then changes,
 * so a refusal leaves everything as it was. The ledger adds the revision and remembers the answer.
 */
import { bounds } from './command.ts'
import type { CodeContent, Taken, VendorKey } from './command.ts'
import type { Code } from '../error.ts'
import type { Changes } from './changes.ts'
import type { CodeIndex } from './code-index.ts'
import type { LedgerState, VendorRecord } from './state.ts'

/**
 * Whether signed texts are what they are said to be. Given to the ledger from outside, since it computes no signature
 * itself; a function of its arguments, so that every server judges alike (I5).
 */
export interface Judge {
  code(
    text: string,
    against: {
      readonly vendors: ReadonlyMap<string, VendorRecord>
      readonly fingerprint: string
      readonly calendar: number
    },
  ): { readonly ok: true; readonly content: CodeContent } | Refusal
  /** A certificate says that the key it holds is of the same vendor as the key that signed it. */
  certificate(
    text: string,
    vendors: ReadonlyMap<string, VendorRecord>,
  ): { readonly ok: true; readonly vendor: VendorKey; readonly signedBy: string } | Refusal
}

/** What became of a code, for those who watch. `days`: it ends in so many, or less. */
export type Notice =
  | {
      readonly type: 'code-started' | 'code-ended'
      readonly codeId: string
      readonly feature: string
    }
  | {
      readonly type: 'code-ends'
      readonly codeId: string
      readonly feature: string
      readonly days: number
      readonly endsAt: number
      /** The code that takes its place. */
      readonly renewedBy?: string
    }

export interface Context {
  readonly state: LedgerState
  readonly changes: Changes
  readonly codeIndex: CodeIndex
  /** Absent in a ledger by itself, as tests have it: what is proposed is believed. */
  readonly judge: Judge | undefined
  readonly notices: Notice[]
  /** Log index of the entry being applied. */
  readonly index: number
}

export interface Refusal {
  readonly ok: false
  readonly code: Code
  readonly detail?: string
  readonly queued?: number
}

/** A `Result` without its revision. */
export type Outcome =
  | {
      readonly ok: true
      readonly incarnation?: number
      readonly relearn?: boolean
      readonly taken?: readonly Taken[]
    }
  | Refusal

export const done: Outcome = { ok: true }

export function refuse(code: Code, detail?: string): Refusal {
  return detail === undefined ? { ok: false, code } : { ok: false, code, detail }
}

/** A whole number from 1 to the bound of any count. */
export function isCount(count: number): boolean {
  return Number.isSafeInteger(count) && count >= 1 && count <= bounds.allocationsMax
}

/** A whole number from 0 to the bound of any count. */
export function isCountOrZero(count: number): boolean {
  return count === 0 || isCount(count)
}

/** A whole number from 0 up. */
export function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

export function isTime(ms: number): boolean {
  return Number.isFinite(ms) && ms >= 0 && ms <= Number.MAX_SAFE_INTEGER
}

export function badCount(field: string): Refusal {
  return refuse(
    'LICD_BAD_COUNT',
    `\`${field}\` must be a whole number up to ${String(bounds.allocationsMax)}.`,
  )
}
