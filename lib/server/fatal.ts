/**
 * What stops a server, in the product's own codes: raft/ has its own, for those who use it alone.
 */
import { RaftError, type RaftCode } from '../../raft/error.ts'
import { LicdError, type Code } from '../error.ts'

const codeOf: Readonly<Record<RaftCode, Code>> = {
  RAFT_BAD_SETTING: 'LICD_BAD_CONFIG',
  RAFT_LOCKED: 'LICD_DATA_LOCKED',
  RAFT_DAMAGED: 'LICD_DATA_DAMAGED',
  RAFT_STORE_VERSION: 'LICD_DATA_DAMAGED',
  RAFT_STORAGE: 'LICD_STORAGE',
  RAFT_NOT_EMPTY: 'LICD_ALREADY_INITIALISED',
  RAFT_CLOSED: 'LICD_CLOSED',
  RAFT_BUS_UNREACHABLE: 'LICD_NATS_UNREACHABLE',
  RAFT_BUS_REFUSED: 'LICD_NATS_REFUSED',
  RAFT_DISK_HANGS: 'LICD_STORAGE',
  RAFT_DIVERGED: 'LICD_DIVERGED',
  RAFT_VIOLATION: 'LICD_INTERNAL',
  RAFT_STATE_MACHINE: 'LICD_INTERNAL',
  RAFT_INTERNAL: 'LICD_INTERNAL',
}

/** The same failure as a LicdError, the first one as its cause. */
export function asLicdError(cause: unknown): LicdError {
  if (cause instanceof LicdError) return cause
  if (cause instanceof RaftError) {
    // The ledger itself said why it cannot go on.
    if (cause.code === 'RAFT_STATE_MACHINE' && cause.cause instanceof LicdError) return cause.cause
    return new LicdError(codeOf[cause.code], cause.detail, { cause })
  }
  return new LicdError('LICD_INTERNAL', cause instanceof Error ? cause.message : String(cause), {
    cause,
  })
}
