/**
 * The one error class of raft/ and the table of its codes.
 *
 * For what the outside world does to a node: a disk that fails, a folder that is taken, a broker that is not
 * there. What a caller may be told in the course of things (not the leader, busy) is a returned value
 * instead, and a broken invariant an assertion, reported as RAFT_INTERNAL by the node that stops on it.
 */

/** Code -> what it means and what to do. A code keeps its meaning for good. */
export const raftCodes = {
  RAFT_BAD_SETTING: 'A setting is wrong; the message names it.',
  RAFT_LOCKED: 'The folder is open already, here or in another process. Stop that one first.',
  RAFT_DAMAGED:
    'Stored data is damaged, so this server may have forgotten what it promised. A start sets the damaged database aside, and the server has no voice until the others have taught it.',
  RAFT_STORE_VERSION:
    'The folder was written by another version, or is not a store. Use the version that wrote it, or another folder.',
  RAFT_STORAGE: 'The disk failed or is full. Free or mend it, then start again.',
  RAFT_NOT_EMPTY: 'The store holds a server already. Bootstrap an empty one.',
  RAFT_CLOSED: 'It was closed already.',
  RAFT_BUS_UNREACHABLE:
    'No NATS server answers at the address. Start one, or give another address.',
  RAFT_BUS_REFUSED: 'NATS refused the connection. Check the credentials and the TLS settings.',
  RAFT_DISK_HANGS:
    'The disk has not answered in time, and the node stopped without it. End the process, and look at the disk.',
  RAFT_DIVERGED:
    "This server's state differs from what a majority of its cluster agrees on: start it again and it is taught anew. A defect, or bad memory; please report it with the log.",
  RAFT_VIOLATION:
    'A message said what no correct server of this cluster says; it was refused, and changed nothing. Two servers with one name, a defect, or a forgery: look at the sender named, and who may publish on its subjects.',
  RAFT_STATE_MACHINE:
    'The state machine threw. A defect in it; the node stopped rather than diverge.',
  RAFT_INTERNAL: 'A defect in raft/. Please report it with the log.',
} as const satisfies Record<string, string>

export type RaftCode = keyof typeof raftCodes

/** `code` says which error, `message` what to do, `cause` what lay beneath. */
export class RaftError extends Error {
  override readonly name = 'RaftError'
  readonly code: RaftCode
  /** What happened in this case, without what the code says anyway. */
  readonly detail: string | undefined

  constructor(code: RaftCode, detail?: string, options: { cause?: unknown } = {}) {
    super(
      detail === undefined ? raftCodes[code] : `${detail} ${raftCodes[code]}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.detail = detail
  }
}

/** What was thrown where nothing should throw: a defect, unless it is a RaftError already. */
export function internal(cause: unknown): RaftError {
  if (cause instanceof RaftError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  return new RaftError('RAFT_INTERNAL', `${text}.`, { cause })
}
