/**
 * What became of the proposals that this server took while it led: told from what the core does, step by step.
 *
 * Every one is settled once a committed entry at its index is handed out, and not before: one that was truncated may come
 * back with another leader (paper, Figure 8), so a truncation alone tells its caller nothing; and of what is committed and
 * not handed out yet a snapshot may still take the place.
 */
import type { Effects } from './core/effect.ts'
import type { Entry } from './core/entry.ts'

/**
 * `lost`: another entry was committed in its place, so it will never be applied. `unknown`: a snapshot took its place,
 * so it may or may not have been. A cut-off server hears neither: callers time out.
 */
export interface SettledProposal {
  readonly id: number
  readonly outcome: 'lost' | 'unknown'
}

interface TakenProposal {
  readonly id: number
  readonly index: number
  readonly term: number
}

/** Truncated proposals whose fate is open; beyond it the oldest are given up as unknown. */
const maxDisplaced = 10_000

/** For one run of a core. */
export class ProposalFate {
  /** Of entries in the log, ascending. Bounded by the limits on uncommitted and unapplied bytes. */
  private open: TakenProposal[] = []
  /** Of entries that were truncated. */
  private displaced: TakenProposal[] = []

  /** After each step, with what it did: which proposals of earlier ones are settled other than by being applied. */
  after({
    proposals,
    persist,
    restore,
    apply,
  }: Pick<Effects, 'proposals' | 'persist' | 'restore' | 'apply'>): SettledProposal[] {
    for (const result of proposals) {
      if (result.outcome !== 'accepted') continue
      const { id, index, term } = result
      this.open.push({ id, index, term })
    }
    if (this.open.length + this.displaced.length === 0) return []
    const results: SettledProposal[] = []
    if (persist?.truncateFrom !== undefined)
      results.push(...this.truncateFrom(persist.truncateFrom))
    if (restore !== undefined) results.push(...this.skipTo(restore.lastIncludedIndex))
    return [...results, ...this.handOut(apply)]
  }

  /** The log was cut from `index` on. */
  private truncateFrom(index: number): SettledProposal[] {
    const kept = this.open.findIndex(proposal => proposal.index >= index)
    if (kept >= 0) this.displaced.push(...this.open.splice(kept))
    const excess = Math.max(0, this.displaced.length - maxDisplaced)
    return this.displaced.splice(0, excess).map(({ id }) => ({ id, outcome: 'unknown' }))
  }

  /** These are committed, and follow what was handed out before. */
  private handOut(entries: readonly Entry[]): SettledProposal[] {
    const [first] = entries
    if (first === undefined) return []
    const index = first.index + entries.length - 1
    const termAt = (at: number): number | undefined => entries[at - first.index]?.term
    this.dropOpen(index)
    if (this.displaced.length === 0) return []
    const settled = this.displaced.filter(proposal => proposal.index <= index)
    this.displaced = this.displaced.filter(proposal => proposal.index > index)
    return settled
      .filter(proposal => termAt(proposal.index) !== proposal.term)
      .map(({ id }) => ({ id, outcome: 'lost' }))
  }

  /** A snapshot took the place of everything up to `index`: what stood there cannot be seen. */
  private skipTo(index: number): SettledProposal[] {
    const hidden = [...this.dropOpen(index), ...this.displaced].filter(
      proposal => proposal.index <= index,
    )
    this.displaced = this.displaced.filter(proposal => proposal.index > index)
    return hidden.map(({ id }) => ({ id, outcome: 'unknown' }))
  }

  private dropOpen(index: number): TakenProposal[] {
    const later = this.open.findIndex(proposal => proposal.index > index)
    return this.open.splice(0, later < 0 ? this.open.length : later)
  }
}
