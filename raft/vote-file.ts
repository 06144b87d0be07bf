/**
 * Two small files beside the database, and why each is there.
 *
 * `vote`: term and vote once more. A database whose log lost its last record forgets the vote with it, and nothing
 * in it shows that; the server could then vote twice in one term (paper, 5.2). It is written and synced before
 * the database, so it is never behind. Elections are rare: a second sync for them costs nothing.
 *
 * `mark`: which batch was durable last. A database that ends before it has lost acknowledged entries, though all
 * that is left of it agrees. It is written after the batch and never synced, so it may be behind, but never ahead.
 */
import type { SlotCodec } from './slots.ts'
import { isCount, isId } from './record.ts'

export interface Vote {
  readonly currentTerm: number
  readonly votedFor: string | undefined
}

export const voteCodec: SlotCodec<Vote> = {
  row: ({ currentTerm, votedFor }) => [currentTerm, votedFor ?? null],
  value([currentTerm, votedFor]) {
    if (!isCount(currentTerm) || (votedFor !== null && !isId(votedFor))) return undefined
    return { currentTerm, votedFor: votedFor ?? undefined }
  },
}

export interface Mark {
  /** `Tail.seq` of the batch. */
  readonly seq: number
  /** Checksum of the tail record that the batch wrote. */
  readonly crc: number
}

export const markCodec: SlotCodec<Mark> = {
  row: ({ seq, crc }) => [seq, crc],
  value([seq, crc]) {
    return isCount(seq) && isCount(crc) ? { seq, crc } : undefined
  },
}
