/**
 * Whether a message, well-formed as it is, can be what a correct server sent.
 *
 * What fails here is dropped and counted; it changes nothing. A term out of all bounds, for one, would otherwise be
 * adopted and leave no room for another election.
 */
import { isConfiguration } from './configuration.ts'
import { numberLimit } from './entry.ts'
import type { AppendEntries, Message } from './message.ts'
import { isSnapshot } from './snapshot-receiver.ts'

export function isSensible(message: Message): boolean {
  if (message.from === message.to || message.from === '' || !isNumber(message.term)) return false
  switch (message.type) {
    case 'preVote':
      return message.nextTerm === message.term + 1 && isNumber(message.lastLogIndex)
    case 'requestVote':
      return message.lastLogTerm < message.term && isNumber(message.lastLogIndex)
    case 'appendEntries':
      return isNumber(message.round) && isNumber(message.leaderCommit) && areContiguous(message)
    case 'heartbeat':
      return isNumber(message.round) && isNumber(message.leaderCommit)
    case 'appendEntriesReply':
    case 'heartbeatReply':
    case 'installSnapshotReply':
      return isNumber(message.round)
    case 'installSnapshot':
      return isNumber(message.round) && isNumber(message.chunk) && isSnapshot(message.snapshot)
    case 'teach':
      return isNumber(message.lastLogIndex)
    case 'teachReply':
      return isNumber(message.lastIndex)
    case 'readIndexReply':
      return message.index === undefined || isNumber(message.index)
    case 'preVoteReply':
    case 'requestVoteReply':
    case 'readIndex':
    case 'timeoutNow':
    case 'distrust':
      return true
  }
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value < numberLimit
}

/** Entries follow one another, in terms that never fall and none newer than the sender's. */
function areContiguous({ prevLogIndex, prevLogTerm, entries, term }: AppendEntries): boolean {
  if (!isNumber(prevLogIndex) || !isNumber(prevLogTerm)) return false
  let index = prevLogIndex
  let entryTerm = prevLogTerm
  for (const entry of entries) {
    if (entry.index !== index + 1 || entry.term < entryTerm) return false
    if (entry.kind === 'configuration' && !isConfiguration(entry.configuration)) return false
    index = entry.index
    entryTerm = entry.term
  }
  return entryTerm <= term && isNumber(index)
}
