/**
 * The note on the disk that a database must not be believed, and what is to become of it.
 *
 * It is written before anything is moved and goes when all is done, so that a crash at any point in between leads
 * to the same end. Whoever finds a fault elsewhere (a ledger that differs from all others) writes the reason
 * alone; what follows from it is decided at the next start.
 */
import { isCount, isId } from './record.ts'
import type { Vote } from './vote-file.ts'

export interface Finding {
  /** In words for an operator. */
  readonly reason: string
  readonly handOver?: HandOver
}

/** What the server begins anew with. */
export interface HandOver extends Vote {
  /** The number under which the old database is kept; 0: there is nothing to keep. */
  readonly aside: number
  readonly trust: 'relearning' | 'unknown'
  /** Of the new database's first batch. */
  readonly seq: number
}

export const maxReasonLength = 300

export function markerText(finding: Finding): string {
  const reason = finding.reason.slice(0, maxReasonLength)
  return `${JSON.stringify({ ...finding, reason }, undefined, 2)}\n`
}

/** What is no finding, an older version's note or a damaged one, counts as its own reason. */
export function parseMarker(text: string): Finding {
  const fields = fieldsOf(text)
  const { reason, handOver } = fields ?? {}
  if (typeof reason !== 'string') {
    return { reason: (text.split('\n', 1)[0] ?? '').slice(0, maxReasonLength) || 'found before' }
  }
  const decided = handOverOf(handOver)
  return decided === undefined ? { reason } : { reason, handOver: decided }
}

function handOverOf(value: unknown): HandOver | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { aside, trust, seq, currentTerm, votedFor } = { ...value } as Record<string, unknown>
  if (!isCount(aside) || !isCount(seq) || !isCount(currentTerm)) return undefined
  if (trust !== 'relearning' && trust !== 'unknown') return undefined
  if (votedFor !== undefined && !isId(votedFor)) return undefined
  return { aside, trust, seq, currentTerm, votedFor }
}

function fieldsOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
