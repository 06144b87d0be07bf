/**
 * License codes by feature and by time: derived from the ledger's codes, never part of its state.
 *
 * It spares a tick from reading every code, and gives `endsAt`. Invariant: a code is in here exactly when it is
 * in the ledger and its own end is still to come, removed or not.
 */
import type { CodeRecord, Feature } from './state.ts'

export class CodeIndex {
  readonly #byFeature = new Map<string, Set<CodeRecord>>()
  /** Those that were removed before their end, until it: what is owed for one ends when it would have (R9). */
  readonly #removed = new Map<string, Set<CodeRecord>>()
  /** No code starts or ends before this calendar time. */
  #nextAt = Infinity

  /** A new code, or one of a snapshot. */
  add(record: CodeRecord, calendar: number): void {
    const { state, content } = record
    if (state !== 'ended') file(this.#byFeature, record)
    else if (content.expiresAt !== undefined && content.expiresAt > calendar) {
      file(this.#removed, record)
    } else return
    this.#nextAt = Math.min(this.#nextAt, turnsAt(record))
  }

  /** The code has ended, or was removed. */
  end(record: CodeRecord, calendar: number): void {
    unfile(this.#byFeature, record)
    unfile(this.#removed, record)
    this.add(record, calendar)
  }

  /** Whether a code of the feature is active or will be. */
  has(feature: string): boolean {
    return this.#byFeature.has(feature)
  }

  /** Allocations of all the feature's codes that have not ended, pending ones included. */
  total(feature: string): number {
    let sum = 0
    for (const { content } of this.#byFeature.get(feature) ?? []) sum += content.allocations
    return sum
  }

  /** Codes that start or end by `calendar`, in the order of their ids. Reads all codes only when there are any. */
  due(calendar: number): CodeRecord[] {
    if (calendar < this.#nextAt) return []
    const due: CodeRecord[] = []
    this.#nextAt = Infinity
    for (const records of [...this.#byFeature.values(), ...this.#removed.values()]) {
      for (const record of records) {
        if (turnsAt(record) <= calendar) due.push(record)
        else this.#nextAt = Math.min(this.#nextAt, turnsAt(record))
      }
    }
    return due.sort((a, b) => (a.content.codeId < b.content.codeId ? -1 : 1))
  }

  /** A due code that started may end later. */
  noteTurn(record: CodeRecord): void {
    this.#nextAt = Math.min(this.#nextAt, turnsAt(record))
  }

  /**
   * Calendar time at which the feature first has fewer allocations than now because codes end, those that start
   * until then counted; `undefined` when that never happens. While something is owed, the first end of a code that
   * was removed is one too: the seats that are owed may be its own.
   */
  endsAt({ name, owed }: Pick<Feature, 'name' | 'owed'>): number | undefined {
    const lessAt = this.#lessAt(name)
    if (owed === 0) return lessAt
    const removed = [...(this.#removed.get(name) ?? [])].map(turnsAt)
    const first = Math.min(lessAt ?? Infinity, ...removed)
    return first === Infinity ? undefined : first
  }

  #lessAt(feature: string): number | undefined {
    const turns: { at: number; change: number }[] = []
    for (const { content, state } of this.#byFeature.get(feature) ?? []) {
      const { startsAt, expiresAt, allocations } = content
      if (state === 'pending') turns.push({ at: startsAt, change: allocations })
      if (expiresAt !== undefined) turns.push({ at: expiresAt, change: -allocations })
    }
    // Starts before ends of the same moment: the new one takes the old one's place.
    turns.sort((a, b) => a.at - b.at || b.change - a.change)
    let difference = 0
    for (const { at, change } of turns) {
      difference += change
      if (difference < 0) return at
    }
    return undefined
  }
}

function file(byFeature: Map<string, Set<CodeRecord>>, record: CodeRecord): void {
  const { feature } = record.content
  const records = byFeature.get(feature)
  if (records === undefined) byFeature.set(feature, new Set([record]))
  else records.add(record)
}

function unfile(byFeature: Map<string, Set<CodeRecord>>, record: CodeRecord): void {
  const { feature } = record.content
  const records = byFeature.get(feature)
  records?.delete(record)
  if (records?.size === 0) byFeature.delete(feature)
}

/** Calendar time of a code's next turn: its start, or its end once it runs. */
function turnsAt({ content, state }: CodeRecord): number {
  return state === 'pending' ? content.startsAt : (content.expiresAt ?? Infinity)
}
