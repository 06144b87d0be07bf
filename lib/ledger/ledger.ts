/**
 * The ledger: the replicated deterministic state machine that says who owns how many allocations.
 *
 * Every server applies the same committed entries in the same order and must reach the same state (I5), so
 * nothing beneath this folder reads a clock, draws a random number or performs I/O. Applying a well-typed command
 * never throws, whatever its figures are: an entry that throws here would stop every server alike.
 *
 * Invariants: I1, asserted after each command for the features it changed; I4, by the memory of ids.
 */
import assert from 'node:assert/strict'
import { audit } from './audit.ts'
import { bounds } from './command.ts'
import type { Command, CommandBody, Result } from './command.ts'
import { applyBorrow } from './borrow.ts'
import { Changes } from './changes.ts'
import type { SnapshotReader } from './changes.ts'
import { CodeIndex } from './code-index.ts'
import { applyAddCode, applyRemoveCode, belowLevel, rootOf } from './code.ts'
import {
  applyAddAllocations,
  applyAddFeature,
  applyChangeCriteria,
  applySetThreshold,
} from './criteria.ts'
import { assertConserved, targetOf, thresholdOf } from './feature.ts'
import { applyDemand, applyLend, applyReturn } from './give.ts'
import { applyAddServer, applyRecover, applySetRole } from './membership.ts'
import { Memory } from './memory.ts'
import { done, isWhole, refuse } from './outcome.ts'
import type { Context, Judge, Notice, Outcome, Refusal } from './outcome.ts'
import { applyHello, applyLeave, serverStateOf } from './server.ts'
import { applyChangeSettings, applyGenesis, applySetLevel } from './settings.ts'
import { emptyState, putRow } from './snapshot.ts'
import type { LedgerSnapshot, Row } from './snapshot.ts'
import type { CodeRecord, Feature, LedgerState, ServerState } from './state.ts'
import { applyRevokeOperator, refuseRevoked } from './operator.ts'
import { applyTick } from './tick.ts'
import { applyHoldKeys, applyUseKey } from './token-key.ts'
import { applyAddVendor, applyRevokeVendor, certificatesOf } from './vendor.ts'

const commandId = /^[A-Za-z0-9._-]{1,64}$/

/** What applying one command did. */
export interface Applied {
  readonly result: Result
  /** True when the id was known: the remembered result, and nothing changed (I4). */
  readonly duplicate: boolean
  /** Features whose distribution, criteria or codes changed, sorted; one that is gone is named too. */
  readonly changed: readonly string[]
  readonly revisionBefore: number
  readonly revision: number
  /** What became of codes, in order. */
  readonly notices: readonly Notice[]
}

export class Ledger {
  /** To be read by others, never written. Records may change at the next `apply`. */
  readonly state: LedgerState = emptyState()
  readonly #changes = new Changes(this.state)
  readonly #codeIndex = new CodeIndex(kid => rootOf(this.state, kid))
  readonly #memory: Memory
  readonly #judge: Judge | undefined

  /**
   * Without a judge of signatures what is proposed is believed. `resultsMax` is the same at every server of a pool: it
   * is there for tests, to which filling the memory is dear.
   */
  constructor(judge?: Judge, resultsMax: number = bounds.results) {
    this.#judge = judge
    this.#memory = new Memory(this.state, this.#changes, resultsMax)
  }

  /**
   * Applies one command that the codec decoded; `index` is its place in the log.
   *
   * A known id answers as it did the first time. A refusal for the memory's bound (LICD_TOO_BUSY), or before
   * genesis, or of an id that is none, is not remembered: the same command may still take effect later, until its
   * deadline has passed. A command that may have been applied and forgotten since, for its deadline is so long ago or
   * the memory was full, gives LICD_UNKNOWN_OUTCOME.
   */
  apply(command: Command, index: number): Applied {
    const { id, deadline, body } = command
    const { state } = this
    const notices: Notice[] = []
    const changes = this.#changes
    const context = {
      state,
      changes,
      codeIndex: this.#codeIndex,
      index,
      judge: this.#judge,
      notices,
    }
    changes.distributed.clear()
    const { revision } = state
    if (body.type === 'genesis' || body.type === 'tick' || body.type === 'recover') {
      const applied = this.#conclude(revision, this.#applyUnkept(context, body), notices)
      audit(state, changes, { command, result: applied.result })
      return applied
    }
    const refusal = this.#refuseUnkept(command)
    if (refusal !== undefined) return this.#conclude(revision, refusal, notices)
    const known = this.#memory.find(id)
    if (known !== undefined) {
      const revisionBefore = revision
      return { result: known, duplicate: true, changed: [], revisionBefore, revision, notices }
    }
    const outcome =
      this.#refuseDeadline(deadline) ?? refuseRevoked(state, command) ?? applyBody(context, body)
    const applied = this.#conclude(revision, outcome, notices)
    audit(state, changes, { command, result: applied.result })
    this.#memory.keep(id, deadline, applied.result)
    return applied
  }

  #applyUnkept(
    context: Context,
    body: Extract<CommandBody, { type: 'genesis' | 'tick' | 'recover' }>,
  ): Outcome {
    if (body.type === 'genesis') return applyGenesis(context, body)
    if (this.state.pool === '') return refuse('LICD_NOT_INITIALISED')
    if (body.type === 'recover') return applyRecover(context, body)
    const outcome = applyTick(context, body)
    if (outcome.ok) this.#memory.forget(this.state.tick)
    return outcome
  }

  #refuseUnkept(command: Command): Refusal | undefined {
    const { id, deadline } = command
    if (this.state.pool === '') return refuse('LICD_NOT_INITIALISED')
    if (!commandId.test(id)) return refuse('LICD_BAD_REQUEST', '`id` is no command id.')
    if (this.#memory.find(id) !== undefined) return undefined
    if (!isWhole(deadline)) return refuse('LICD_BAD_DEADLINE')
    if (deadline + bounds.resultTicks < this.state.tick) return refuse('LICD_UNKNOWN_OUTCOME')
    if (this.#memory.mayBeForgotten(command)) return refuse('LICD_UNKNOWN_OUTCOME')
    return this.#memory.hasRoom() ? undefined : refuse('LICD_TOO_BUSY')
  }

  #refuseDeadline(deadline: number): Refusal | undefined {
    const { tick, settings } = this.state
    if (tick > deadline) return refuse('LICD_DEADLINE')
    const ahead = Math.min(bounds.deadlineTicks, settings.leaseTicks - 1)
    return deadline - tick > ahead ? refuse('LICD_BAD_DEADLINE') : undefined
  }

  #conclude(revisionBefore: number, outcome: Outcome, notices: readonly Notice[]): Applied {
    const changed = [...this.#changes.distributed].sort()
    for (const name of changed) {
      const feature = this.state.features.get(name)
      if (feature !== undefined) assertConserved(feature)
    }
    if (changed.length > 0) this.state.revision += 1
    const { revision } = this.state
    return {
      result: resultOf(outcome, revision),
      duplicate: false,
      changed,
      revisionBefore,
      revision,
      notices,
    }
  }

  /** `down` for a server that the pool does not have. */
  serverState(name: string): ServerState {
    const record = this.state.servers.get(name)
    return record === undefined ? 'down' : serverStateOf(record, this.state.tick)
  }

  /** Target share by the distribution criteria; 0 for a server that the pool does not have. */
  target(feature: Feature, server: string): number {
    return targetOf(this.state, feature, server)
  }

  /** Borrowing threshold: a fraction above 0 and at most 1. */
  threshold(feature: Feature, server: string): number {
    return thresholdOf(feature, server)
  }

  /** Features whose codes serve clients that ask for `name`, the newest version first. */
  serving(name: string): readonly string[] {
    return this.#codeIndex.serving(name)
  }

  /** The codes that a feature rests on now. */
  activeCodes(feature: string): readonly CodeRecord[] {
    return this.#codeIndex.active(feature)
  }

  /** The code by whose end the feature has fewer, or none; `undefined` where no end is to come. */
  endingCode(feature: string): string | undefined {
    const found = this.state.features.get(feature)
    return found && this.#codeIndex.endingAt(found)
  }

  /** Certificates that lead from the vendor's first key to this one, in their order. */
  certificatesOf(kid: string): readonly string[] {
    return certificatesOf(this.state, kid)
  }

  /** Ids of codes that renew this one and have not ended. */
  renewals(codeId: string): readonly string[] {
    const record = this.state.codes.get(codeId)
    if (record === undefined) return []
    return this.#codeIndex.renewalsOf(record).map(({ content }) => content.codeId)
  }

  /** 16 hexadecimal digits; equal for equal states (I5). Costs what changed since the last call. */
  hash(): string {
    return this.#changes.hash()
  }

  /** The whole state as frozen plain data, at once. For large ledgers use `snapshotRows`. */
  snapshot(): LedgerSnapshot {
    return freeze({ rows: [...this.snapshotRows()] })
  }

  /**
   * The state of this moment as small plain rows, made one by one while `apply` goes on (copy on write). One at a
   * time for each reader: opening the next ends the one before, whose `next` then throws.
   */
  snapshotRows(reader: SnapshotReader = 'raft'): IterableIterator<Row> {
    return this.#changes.rows(this.#memory.rows(), reader)
  }

  static restore(snapshot: LedgerSnapshot, resultsMax?: number): Ledger {
    return Ledger.restoreRows(snapshot.rows, resultsMax)
  }

  /** Throws an assertion on rows that are not of a whole snapshot; bytes are to be checked before. */
  static restoreRows(rows: Iterable<Row>, resultsMax?: number): Ledger {
    const restoring = Ledger.restoring(undefined, resultsMax)
    for (const row of rows) restoring.put(row)
    return restoring.end()
  }

  /** The same row by row: each costs what it holds, and the end nothing, however large the ledger is. */
  static restoring(judge?: Judge, resultsMax?: number): Restoring {
    const ledger = new Ledger(judge, resultsMax)
    let rows = 0
    return {
      put(row) {
        assert.equal(row.kind === 'pool', rows === 0, 'a snapshot opens with its one pool row')
        rows++
        ledger.#restore(row)
      },
      end() {
        assert(rows > 0, 'a snapshot has rows')
        return ledger
      },
    }
  }

  #restore(row: Row): void {
    if (row.kind === 'result') this.#memory.restore(row)
    else putRow(this.state, row)
    if (row.kind === 'feature') this.#codeIndex.noteServes(row.name, undefined, row.serves)
    if (row.kind === 'code') {
      const record = this.state.codes.get(row.content.codeId)
      if (record !== undefined) this.#codeIndex.add(record, this.state.calendar)
    }
    this.#changes.restored(row)
  }
}

/** A ledger that is being made from the rows of a snapshot, in their order. */
export interface Restoring {
  put(row: Row): void
  end(): Ledger
}

function applyBody(
  context: Context,
  body: Exclude<CommandBody, { type: 'genesis' | 'tick' | 'recover' }>,
): Outcome {
  switch (body.type) {
    case 'hello':
      return applyHello(context, body)
    case 'leave':
      return applyLeave(context, body)
    case 'add-vendor':
      return applyAddVendor(context, body)
    case 'revoke-vendor':
      return applyRevokeVendor(context, body)
    case 'set-level':
      return applySetLevel(context, body)
    case 'hold-keys':
      return applyHoldKeys(context, body)
    case 'use-key':
      return applyUseKey(context, body)
    case 'revoke-operator':
      return applyRevokeOperator(context, body)
    case 'note':
      return context.state.level < 2 ? belowLevel(2) : done
    case 'add-code':
      return applyAddCode(context, body)
    case 'remove-code':
      return applyRemoveCode(context, body)
    case 'add-feature':
      return applyAddFeature(context, body)
    case 'add-allocations':
      return applyAddAllocations(context, body)
    case 'change-criteria':
      return applyChangeCriteria(context, body)
    case 'set-threshold':
      return applySetThreshold(context, body)
    case 'borrow':
      return applyBorrow(context, body)
    case 'demand':
      return applyDemand(context, body)
    case 'return':
      return applyReturn(context, body)
    case 'lend':
      return applyLend(context, body)
    case 'change-settings':
      return applyChangeSettings(context, body)
    case 'add-server':
      return applyAddServer(context, body)
    case 'set-role':
      return applySetRole(context, body)
  }
}

/** Fields in one fixed order: results are rows of the hash. */
function resultOf(outcome: Outcome, revision: number): Result {
  if (!outcome.ok) {
    const { code, detail, queued } = outcome
    return freeze({
      ok: false,
      code,
      ...(detail === undefined ? {} : { detail }),
      ...(queued === undefined ? {} : { queued }),
    })
  }
  const { incarnation, relearn, taken } = outcome
  if (incarnation !== undefined && relearn !== undefined) {
    return freeze({ ok: true, revision, incarnation, relearn })
  }
  if (taken === undefined) return Object.freeze({ ok: true, revision })
  const rows = taken.map(({ source, server, count }) =>
    server === undefined ? { source, count } : { source, server, count },
  )
  return freeze({ ok: true, revision, taken: rows })
}

function freeze<Value extends object>(value: Value): Value {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null && !Object.isFrozen(inner)) freeze(inner)
  }
  return Object.freeze(value)
}
