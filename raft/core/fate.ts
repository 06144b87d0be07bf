/**
 * What became of the proposals that this server took while it led.
 *
 * Every one is settled once a committed entry stands at its index, and not before: one that was truncated may come
 * back with another leader (paper, Figure 8), so a truncation alone tells its caller nothing.
 */
import type { ProposalResult } from './effect.ts'

export interface TakenProposal {
  readonly id: number
  readonly index: number
  readonly term: number
}

/** Truncated proposals whose fate is open; beyond it the oldest are given up as unknown. */
const maxDisplaced = 10_000

export class ProposalFate {
  /** Of entries in the log, ascending. Bounded by the limit on uncommitted bytes. */
  private open: TakenProposal[] = []
  /** Of entries that were truncated. */
  private displaced: TakenProposal[] = []

  take(proposal: TakenProposal): void {
    this.open.push(proposal)
  }

  /** The log was cut from `index` on. */
  truncateFrom(index: number): ProposalResult[] {
    const kept = this.open.findIndex(proposal => proposal.index >= index)
    if (kept >= 0) this.displaced.push(...this.open.splice(kept))
    const excess = Math.max(0, this.displaced.length - maxDisplaced)
    return this.displaced.splice(0, excess).map(({ id }) => ({ id, outcome: 'unknown' }))
  }

  /** Everything up to `index` is committed, and in the log. */
  commitTo(index: number, termAt: (index: number) => number | undefined): ProposalResult[] {
    this.dropOpen(index)
    if (this.displaced.length === 0) return []
    const settled = this.displaced.filter(proposal => proposal.index <= index)
    this.displaced = this.displaced.filter(proposal => proposal.index > index)
    return settled
      .filter(proposal => termAt(proposal.index) !== proposal.term)
      .map(({ id }) => ({ id, outcome: 'lost' }))
  }

  /** A snapshot took the place of everything up to `index`: what stood there cannot be seen. */
  skipTo(index: number): ProposalResult[] {
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
