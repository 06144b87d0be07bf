/**
 * License codes by feature, by time and by what they renew: derived from the ledger's records, never part of its state.
 *
 * It spares a tick from reading every code, and gives what a feature's codes say together. Invariant: a code is in
 * here exactly when it is in the ledger and its own end is still to come, removed or not.
 */
import type { CodeLimits } from './command.ts'
import type { CodeRecord, Feature } from './state.ts'

const dayMs = 86_400_000
const none: readonly string[] = []
/** Days before the end of a code at which the pool says so. */
export const warnDays = [1, 7, 30] as const

export class CodeIndex {
  /** Key id -> id of the vendor's first key. */
  readonly #rootOf: (kid: string) => string
  readonly #byFeature = new Map<string, Set<CodeRecord>>()
  readonly #byId = new Map<string, CodeRecord>()
  /** By feature, those that were removed before their end, until it: what is owed for one ends when it would have (R9). */
  readonly #removed = new Map<string, Set<CodeRecord>>()
  /** Id of a code -> codes that renew it, whoever signed them. */
  readonly #renewals = new Map<string, Set<CodeRecord>>()
  /** Feature asked for -> features whose codes serve it. */
  readonly #serving = new Map<string, Set<string>>()
  /** No code starts, ends or is to be warned of before this calendar time. */
  #nextAt = Infinity

  constructor(rootOf: (kid: string) => string) {
    this.#rootOf = rootOf
  }

  /** A new code, or one of a snapshot. */
  add(record: CodeRecord, calendar: number): void {
    if (record.state === 'ended') return this.#awaitEnd(record, calendar)
    const { codeId, feature, renews } = record.content
    put(this.#byFeature, feature, record)
    this.#byId.set(codeId, record)
    if (renews !== undefined) put(this.#renewals, renews, record)
    this.#nextAt = Math.min(this.#nextAt, this.#turnsAt(record, -Infinity))
  }

  /** The code has ended, or was removed: those that renew it may start. */
  remove(record: CodeRecord, calendar: number): void {
    const { codeId, feature, renews } = record.content
    drop(this.#byFeature, feature, record)
    drop(this.#removed, feature, record)
    this.#byId.delete(codeId)
    if (renews !== undefined) drop(this.#renewals, renews, record)
    for (const renewal of this.renewalsOf(record)) {
      this.#nextAt = Math.min(this.#nextAt, this.#turnsAt(renewal, -Infinity))
    }
    this.#awaitEnd(record, calendar)
  }

  /** It counts no more, and its own end is still to come. */
  #awaitEnd(record: CodeRecord, calendar: number): void {
    const { feature, expiresAt } = record.content
    if (expiresAt === undefined || expiresAt <= calendar) return
    put(this.#removed, feature, record)
    this.#nextAt = Math.min(this.#nextAt, expiresAt)
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

  /** Codes of the same vendor that renew this one and have not ended, in the order of their ids. */
  renewalsOf({ content }: Pick<CodeRecord, 'content'>): CodeRecord[] {
    const root = this.#rootOf(content.kid)
    return [...(this.#renewals.get(content.codeId) ?? [])]
      .filter(renewal => this.#rootOf(renewal.content.kid) === root)
      .sort(byId)
  }

  /** Codes by a key, in the order of their ids. Reads all codes. */
  by(kid: string): CodeRecord[] {
    return [...this.#byId.values()].filter(({ content }) => content.kid === kid).sort(byId)
  }

  all(): Iterable<CodeRecord> {
    return this.#byId.values()
  }

  /**
   * Calendar time at which a code starts: not before the one that it renews has ended, which is known only as long as
   * nobody removes that one sooner.
   */
  startOf({ content }: CodeRecord): number {
    const { startsAt, renews, kid } = content
    const before = renews === undefined ? undefined : this.#byId.get(renews)
    if (before === undefined || this.#rootOf(before.content.kid) !== this.#rootOf(kid)) {
      return startsAt
    }
    return Math.max(startsAt, before.content.expiresAt ?? Infinity)
  }

  /**
   * Codes that start or end by `calendar`, or are to be warned of since `before`, in the order of their ids. Reads
   * all codes only when there are any.
   */
  due(before: number, calendar: number): CodeRecord[] {
    if (calendar < this.#nextAt) return []
    const due: CodeRecord[] = []
    this.#nextAt = Infinity
    for (const record of this.#byId.values()) {
      if (this.#turnsAt(record, before) <= calendar) due.push(record)
      this.#nextAt = Math.min(this.#nextAt, this.#nextTurn(record, calendar))
    }
    for (const records of this.#removed.values()) {
      for (const record of records) {
        const { expiresAt = Infinity } = record.content
        if (expiresAt <= calendar) due.push(record)
        else this.#nextAt = Math.min(this.#nextAt, expiresAt)
      }
    }
    return due.sort(byId)
  }

  /** A code that started may end later. */
  noteTurn(record: CodeRecord, calendar: number): void {
    this.#nextAt = Math.min(this.#nextAt, this.#nextTurn(record, calendar))
  }

  /** The next turn after `calendar`; what is due by it is about to be done. */
  #nextTurn(record: CodeRecord, calendar: number): number {
    const at = this.#turnsAt(record, calendar)
    return at > calendar ? at : Infinity
  }

  /** Calendar time of a code's next turn: its start, its next warning after `seen`, or its end. */
  #turnsAt(record: CodeRecord, seen: number): number {
    const { content, state } = record
    const end = content.expiresAt ?? Infinity
    if (state === 'pending') return Math.min(this.startOf(record), end)
    let next = end
    for (const days of warnDays) {
      const at = end - days * dayMs
      if (at > seen) next = Math.min(next, at)
    }
    return next
  }

  /**
   * Calendar time at which the feature first has fewer allocations than now because codes end, those that start
   * until then counted; `undefined` when that never happens. While something is owed, the first end of a code that
   * was removed is one too: the seats that are owed may be its own.
   */
  endsAt({ name, owed }: Pick<Feature, 'name' | 'owed'>): number | undefined {
    const lessAt = this.#lessAt(name)
    if (owed === 0) return lessAt
    const removed = [...(this.#removed.get(name) ?? [])].map(
      ({ content }) => content.expiresAt ?? Infinity,
    )
    const first = Math.min(lessAt ?? Infinity, ...removed)
    return first === Infinity ? undefined : first
  }

  /**
   * Id of the code whose end `endsAt` tells of, the first by name of several; `undefined` where the feature has no end.
   * Reads the feature's codes.
   */
  endingAt({ name, endsAt }: Pick<Feature, 'name' | 'endsAt'>): string | undefined {
    if (endsAt === undefined) return undefined
    let first: string | undefined
    for (const records of [this.#byFeature.get(name), this.#removed.get(name)]) {
      for (const { content } of records ?? []) {
        const { codeId, expiresAt } = content
        if (expiresAt === endsAt && (first === undefined || codeId < first)) first = codeId
      }
    }
    return first
  }

  #lessAt(feature: string): number | undefined {
    const turns: { at: number; change: number }[] = []
    for (const record of this.#byFeature.get(feature) ?? []) {
      const { allocations, expiresAt = Infinity } = record.content
      const startsAt = record.state === 'pending' ? this.startOf(record) : -Infinity
      // One that ends before what it renews never counts.
      if (startsAt >= expiresAt) continue
      if (record.state === 'pending') turns.push({ at: startsAt, change: allocations })
      turns.push({ at: expiresAt, change: -allocations })
    }
    // Starts before ends of the same moment: the new one takes the old one's place.
    turns.sort((a, b) => a.at - b.at || b.change - a.change)
    let difference = 0
    for (const { at, change } of turns) {
      if (at === Infinity) return undefined
      difference += change
      if (difference < 0) return at
    }
    return undefined
  }

  /** The strictest limits among the feature's active codes. */
  limits(feature: string): Pick<CodeLimits, 'leaseMs' | 'seatMs'> | undefined {
    let leaseMs = Infinity
    let seatMs = Infinity
    for (const { content, state } of this.#byFeature.get(feature) ?? []) {
      if (state !== 'active') continue
      leaseMs = Math.min(leaseMs, content.limits?.leaseMs ?? Infinity)
      seatMs = Math.min(seatMs, content.limits?.seatMs ?? Infinity)
    }
    if (leaseMs === Infinity && seatMs === Infinity) return undefined
    return {
      ...(leaseMs === Infinity ? {} : { leaseMs }),
      ...(seatMs === Infinity ? {} : { seatMs }),
    }
  }

  /** The feature's codes that count now, in the order of their ids. */
  active(feature: string): readonly CodeRecord[] {
    const records = [...(this.#byFeature.get(feature) ?? [])]
    return records.filter(({ state }) => state === 'active').sort(byId)
  }

  /** Other features that the feature's active codes serve, sorted; `undefined` for none. */
  serves(feature: string): readonly string[] | undefined {
    const names = new Set<string>()
    for (const { content, state } of this.#byFeature.get(feature) ?? []) {
      if (state === 'active') for (const name of content.serves ?? []) names.add(name)
    }
    return names.size === 0 ? undefined : [...names].sort()
  }

  /** What a feature serves is now this. */
  noteServes(
    feature: string,
    before: readonly string[] | undefined,
    after: readonly string[] | undefined,
  ): void {
    for (const name of before ?? []) drop(this.#serving, name, feature)
    for (const name of after ?? []) put(this.#serving, name, feature)
  }

  /** Features whose codes serve those who ask for `name`, the newest version (by its text) first. */
  serving(name: string): readonly string[] {
    const features = this.#serving.get(name)
    return features === undefined ? none : [...features].sort().reverse()
  }
}

function byId(a: CodeRecord, b: CodeRecord): number {
  return a.content.codeId < b.content.codeId ? -1 : 1
}

function put<Value>(map: Map<string, Set<Value>>, key: string, value: Value): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, new Set([value]))
  else values.add(value)
}

function drop<Value>(map: Map<string, Set<Value>>, key: string, value: Value): void {
  const values = map.get(key)
  values?.delete(value)
  if (values?.size === 0) map.delete(key)
}
