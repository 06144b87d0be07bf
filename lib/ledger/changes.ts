/**
 * Who is told before the ledger's records change: the hash, an open snapshot, and the list of what one command
 * changed.
 *
 * Invariant: no field of a server, feature or code changes, and none is added or removed, before `server`,
 * `feature`, `distribution` or `code` was called for it in this apply. What is forgotten here shows as a hash
 * that differs from the hash of a restored snapshot.
 *
 * A snapshot is consistent by copy on write: opening it copies the lists of records (not the records), and the
 * row of a record that is about to change is made first. Moves, results, vendors and audit records
 * are replaced, never changed.
 */
import assert from 'node:assert/strict'
import { Digest, type RowHash } from './hash.ts'
import { auditText, rowText } from './row-text.ts'
import {
  auditRow,
  codeRow,
  featureRow,
  moveRow,
  poolRow,
  resultRow,
  revokedRow,
  serverRow,
  usageRow,
  vendorRow,
} from './snapshot.ts'
import { usageKey, type UsageBlock } from './history.ts'
import type { Row } from './snapshot.ts'
import type { AuditRecord, CodeRecord, Feature, LedgerState, Move } from './state.ts'

/** Who reads a snapshot: Raft, or a backup. The one must not end the other's. */
export type SnapshotReader = 'raft' | 'backup'

/** A snapshot being read: rows of records that changed since it was opened, by key. */
interface View {
  readonly kept: Map<string, Row>
}

export class Changes {
  readonly #state: LedgerState
  readonly #digest = new Digest()
  /** Keys of records whose rows are not in the digest now. */
  readonly #stale = new Set<string>()
  /** What the rows of all other records put into the digest, by key. */
  readonly #hashes = new Map<string, RowHash>()
  readonly #views = new Map<SnapshotReader, View>()
  /** Features whose distribution, criteria or codes the present command changed. */
  readonly distributed = new Set<string>()
  /** Features that the next tick settles, top-ups included. Derived: after a restore it holds all of them. */
  readonly unsettled = new Set<string>()

  /** Of all features and maybe of some that are gone, sorted; `undefined` when one came. */
  #names: readonly string[] | undefined

  /** `state` holds no record yet. */
  constructor(state: LedgerState) {
    this.#state = state
  }

  /** A row of a snapshot was put into the state: it is hashed now, so that no later hash has to take all of them. */
  restored(row: Row): void {
    switch (row.kind) {
      case 'pool':
        // Part of every hash, and never kept.
        break
      case 'vendor':
        this.added(vendorRow(row))
        break
      case 'move':
        this.added(moveRow(row))
        break
      case 'audit':
        this.audited(row)
        break
      case 'revoked':
        this.added(revokedRow(row.key))
        break
      case 'result':
        this.added(resultRow(row.id, row.result, row.forgetAt))
        break
      case 'feature':
        this.#take(`feature ${row.name}`)
        this.unsettled.add(row.name)
        break
      case 'code':
        this.#take(`code ${row.content.codeId}`)
        break
      case 'server':
        this.#take(`server ${row.name}`)
        break
      case 'usage':
        this.#take(`usage ${usageKey(row)}`)
    }
  }

  /** Takes the record's row, as the state gives it, into the digest. */
  #take(key: string): void {
    const row = this.#rowOf(key)
    if (row !== undefined) this.#hashes.set(key, this.#digest.add(JSON.stringify(row)))
  }

  /** A row of a record that is replaced, never changed, was added or removed. */
  added(row: Row): void {
    this.#digest.add(rowText(row))
  }

  removed(row: Row): void {
    this.#digest.subtract(rowText(row))
  }

  /** The same of the audit log. */
  audited(record: AuditRecord): void {
    this.#digest.add(auditText(record))
  }

  auditDropped(record: AuditRecord): void {
    this.#digest.subtract(auditText(record))
  }

  /** Before usage or demand of the feature changes. */
  feature(name: string): void {
    this.#before(`feature ${name}`)
  }

  /** Before its shares, free pool, allocations, owed, criteria or codes change. */
  distribution(name: string): void {
    this.#before(`feature ${name}`)
    if (!this.#state.features.has(name)) this.#names = undefined
    this.distributed.add(name)
    this.unsettled.add(name)
  }

  /** Names of all features, sorted. */
  allNames(): readonly string[] {
    this.#names ??= [...this.#state.features.keys()].sort()
    return this.#names
  }

  /** Sorted. Costs what is unsettled; when that is much, all features are looked through, which is less than sorting. */
  unsettledNames(): readonly string[] {
    const { unsettled } = this
    if (unsettled.size <= 1024) return [...unsettled].sort()
    return this.allNames().filter(name => unsettled.has(name))
  }

  code(codeId: string): void {
    this.#before(`code ${codeId}`)
  }

  server(name: string): void {
    this.#before(`server ${name}`)
  }

  /** A block of the usage history, by its key. */
  usage(key: string): void {
    this.#before(`usage ${key}`)
  }

  #before(key: string): void {
    let row: Row | undefined
    for (const { kept } of this.#views.values()) {
      if (kept.has(key)) continue
      row ??= this.#rowOf(key)
      if (row !== undefined) kept.set(key, row)
    }
    const hash = this.#hashes.get(key)
    if (hash !== undefined) this.#digest.remove(hash)
    this.#hashes.delete(key)
    this.#stale.add(key)
  }

  #rowOf(key: string): Row | undefined {
    const space = key.indexOf(' ')
    const kind = key.slice(0, space)
    const name = key.slice(space + 1)
    if (kind === 'feature') {
      const feature = this.#state.features.get(name)
      return feature && featureRow(feature)
    }
    if (kind === 'code') {
      const record = this.#state.codes.get(name)
      return record && codeRow(record)
    }
    if (kind === 'usage') {
      const block = this.#state.history.find(name)
      return block && usageRow(block)
    }
    const record = this.#state.servers.get(name)
    return record && serverRow(record)
  }

  /** Costs one row for each record that changed since the last call. */
  hash(): string {
    for (const key of this.#stale) this.#take(key)
    this.#stale.clear()
    return this.#digest.with(JSON.stringify(poolRow(this.#state)))
  }

  /**
   * The rows of this moment, made as they are asked for, while changes go on. One at a time for each reader: opening
   * the next ends the one before, whose `next` then fails, so that nobody takes half a snapshot for a whole one.
   * `results` are those of this moment, at their own care.
   */
  rows(results: Iterable<Row>, reader: SnapshotReader): IterableIterator<Row> {
    const view: View = { kept: new Map() }
    this.#views.set(reader, view)
    const { servers, vendors, features, codes, moves, history, audit, revoked } = this.#state
    const opened = [poolRow(this.#state), ...[...servers.values()].map(serverRow)]
    return this.#walk(reader, view, {
      opened,
      vendors: [...[...vendors.values()].map(vendorRow), ...[...revoked].map(revokedRow)],
      features: [...features.values()],
      codes: [...codes.values()],
      moves: [...moves.values()],
      usage: [...history.all()],
      audit: [...audit],
      results,
    })
  }

  *#walk(reader: SnapshotReader, view: View, at: Opened): Generator<Row> {
    try {
      for (const row of this.#lines(view, at)) {
        assert(
          this.#views.get(reader) === view,
          'a snapshot was read on after the next one was opened',
        )
        yield row
      }
    } finally {
      if (this.#views.get(reader) === view) this.#views.delete(reader)
    }
  }

  *#lines(view: View, at: Opened): Generator<Row> {
    yield* at.opened
    yield* at.vendors
    for (const feature of at.features) {
      yield view.kept.get(`feature ${feature.name}`) ?? featureRow(feature)
    }
    for (const record of at.codes) {
      yield view.kept.get(`code ${record.content.codeId}`) ?? codeRow(record)
    }
    for (const move of at.moves) yield moveRow(move)
    for (const block of at.usage) {
      yield view.kept.get(`usage ${usageKey(block)}`) ?? usageRow(block)
    }
    for (const record of at.audit) yield auditRow(record)
    yield* at.results
  }
}

/** What opening a snapshot takes down: rows of the few, references to the many. */
interface Opened {
  readonly opened: readonly Row[]
  /** And operators that were revoked. */
  readonly vendors: readonly Row[]
  readonly features: readonly Feature[]
  readonly codes: readonly CodeRecord[]
  readonly moves: readonly Move[]
  readonly usage: readonly UsageBlock[]
  readonly audit: readonly AuditRecord[]
  readonly results: Iterable<Row>
}
