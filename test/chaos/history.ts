/**
 * What the processes of a chaos run write down, as JSON lines, and how it is read back.
 *
 * All times are `process.hrtime()` in milliseconds: the monotonic clock that all processes of a machine have in common, which
 * no fault of a run touches. Lines are written at once: what a process did before it was killed is known.
 *
 * What clients write never shows more than their SDK said: a belief is written after it began and its end before it
 * is given up; and of the clock and of the SDK the clock is asked first, for the process may be stopped in between.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export type Line = SeatLine | OperatorLine | FaultLine | ServerLine

/** What a holder of seats believed. `until` is what its SDK said at `t`. */
export type SeatLine =
  | {
      readonly k: 'grant'
      readonly t: number
      readonly seat: string
      /** Process and number of the client. */
      readonly client: string
      readonly feature: string
      readonly count: number
      readonly until: number
      readonly at: string
      /** How long it had asked. */
      readonly askedMs: number
    }
  | { readonly k: 'renew'; readonly t: number; readonly seat: string; readonly until: number }
  | { readonly k: 'move'; readonly t: number; readonly seat: string; readonly at: string }
  | {
      readonly k: 'end'
      readonly t: number
      readonly seat: string
      readonly why: 'release' | 'lost'
      readonly code?: string
    }
  | { readonly k: 'deny'; readonly t: number; readonly feature: string; readonly code: string }

export const changeKinds = [
  'feature-add',
  'allocations-add',
  'code-add',
  'code-remove',
  'criteria-set',
] as const
export type ChangeKind = (typeof changeKinds)[number]

export type OperatorLine =
  /** Before a change is sent. */
  | {
      readonly k: 'call'
      readonly t: number
      readonly id: string
      readonly by: string
      readonly change: ChangeKind
      readonly feature: string
      /** Allocations that it adds; 0 for those that add none. */
      readonly adds: number
      readonly codeId?: string
    }
  /** How it ended: without `revision` and `refusal` nobody knows. */
  | {
      readonly k: 'return'
      readonly t: number
      readonly id: string
      readonly revision?: number
      readonly refusal?: string
    }
  /** The same id sent again, through another server, after the change was acknowledged. */
  | {
      readonly k: 'again'
      readonly t: number
      readonly id: string
      readonly revision?: number
      readonly duplicate?: boolean
      readonly refusal?: string
    }
  /** What the pool says of the id later; `never`: it was not applied, and its time is long over (R8). */
  | {
      readonly k: 'settled'
      readonly t: number
      readonly id: string
      readonly outcome: 'applied' | 'refused' | 'never'
      readonly revision?: number
      readonly refusal?: string
    }
  | SampleLine

/** A server's answer to `status`: what its ledger held, at some moment before `t`. */
export interface SampleLine {
  readonly k: 'sample'
  readonly t: number
  readonly server: string
  readonly leader?: string
  readonly term: number
  readonly revision: number
  readonly lastApplied: number
  readonly hash: string
  readonly differing: readonly string[]
  readonly features: readonly SampledFeature[]
}

export interface SampledFeature {
  readonly name: string
  readonly allocations: number
  readonly owed: number
  readonly free: number
  /** Sum of all servers' shares. */
  readonly owned: number
}

/** What was done to the pool. */
export interface FaultLine {
  readonly k: 'fault'
  readonly kind: string
  readonly target: string
  readonly from: number
  readonly to: number
}

/** What a server's process did: `ready` or ended, by our hand (`expected`) or by itself. */
export interface ServerLine {
  readonly k: 'server'
  readonly t: number
  readonly server: string
  readonly what: 'ready' | 'ended' | 'leads' | 'lease-lost'
  readonly expected?: boolean
  readonly detail?: string
}

/** The common clock, milliseconds. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Appends lines to a file of its own. */
export class HistoryWriter {
  readonly #file: number

  constructor(folder: string, name: string) {
    this.#file = openSync(join(folder, `${name}.jsonl`), 'a')
  }

  write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** All lines of a run. The last line of a process that was killed may be cut off: it is left out. */
export function readHistory(folder: string): Line[] {
  const lines: Line[] = []
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.jsonl')) continue
    for (const text of readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1)) {
      lines.push(JSON.parse(text) as Line)
    }
  }
  return lines
}
