/**
 * Whether a message, well-formed as it is, can be what a correct server sent.
 *
 * What fails here is dropped and counted; it changes nothing. A term out of all bounds, for one, would otherwise be
 * adopted and leave no room for another election. (The shape of a message is the codec's to check.)
 */
import { numberLimit } from './entry.ts'
import type { AppendEntries, Message } from './message.ts'

export function isSensible(message: Message): boolean {
  const { from, to, term } = message
  if (from === to || from === '') return false
  const values: readonly unknown[] = Object.values(message)
  if (values.some(value => typeof value === 'number' && !isNumber(value))) return false
  if (message.type === 'preVote') return message.nextTerm === term + 1
  if (message.type === 'requestVote') return message.lastLogTerm < term
  if (message.type === 'installSnapshot') return message.snapshot.lastIncludedTerm <= term
  return message.type !== 'appendEntries' || areContiguous(message)
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value < numberLimit
}

/** Entries follow one another, in terms that never fall and none newer than the sender's. */
function areContiguous({ prevLogIndex, prevLogTerm, entries, term }: AppendEntries): boolean {
  const terms = [prevLogTerm, ...entries.map(entry => entry.term), term]
  return (
    terms.every((each, i) => each >= (terms[i - 1] ?? 0)) &&
    entries.every((entry, i) => entry.index === prevLogIndex + i + 1)
  )
}
