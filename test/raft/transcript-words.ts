/**
 * How transcripts write things down, in the paper's names: `3t2` is the entry at index 3, of term 2.
 *
 * What is drawn by chance (keys of reads, sessions of snapshots) is shown by the order in which it first
 * appeared, so that the text depends on nothing but the protocol.
 */
import type { Configuration, ConfigurationChange } from '../../raft/core/configuration.ts'
import type { Persist } from '../../raft/core/effect.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'

export function textOf(data: Uint8Array): string {
  return new TextDecoder().decode(data)
}

/** A command is its name, then what pads it to the size asked for. */
export function commandName(data: Uint8Array): string {
  return textOf(data).replace(/~+$/, '')
}

export function configurationText(configuration: Configuration): string {
  const { voters, outgoing, learners } = configuration
  const parts = [voters.join(' ')]
  if (outgoing.length > 0) parts.push(`/ ${outgoing.join(' ')}`)
  if (learners.length > 0) parts.push(`+ ${learners.join(' ')}`)
  return `{${parts.join(' ')}}`
}

/** Where and what: `3t2 x`, `3t2 noop`, `3t2 {a b c}`; a command without a name is only where. */
export function entryText(entry: Entry): string {
  const place = `${entry.index}t${entry.term}`
  switch (entry.kind) {
    case 'noop':
      return `${place} noop`
    case 'configuration':
      return `${place} ${configurationText(entry.configuration)}`
    case 'command':
      return `${place} ${commandName(entry.data)}`.trim()
  }
}

export function entriesText(entries: readonly Entry[]): string {
  return entries.map(entryText).join(', ')
}

export function changeText({ voters, learners, remove }: ConfigurationChange): string {
  const parts = Object.entries({ voters, learners, remove })
    .filter(([, ids]) => ids !== undefined && ids.length > 0)
    .map(([name, ids]) => `${name}=${ids?.join(',') ?? ''}`)
  return parts.join(' ')
}

export function statusText({ role, currentTerm: term, leader }: Raft): string {
  if (role === 'leader') return `leads term ${term}`
  if (role !== 'follower') return `is ${role} in term ${term}`
  return leader === undefined
    ? `is follower in term ${term}, knows no leader`
    : `follows ${leader} in term ${term}`
}

/** What a write changes; the hard state only where it differs from `before`. */
export function persistText(persist: Persist, before: HardState): string {
  const { currentTerm, votedFor, snapshot, truncateFrom, compactTo, entries } = persist
  const parts: string[] = []
  if (currentTerm !== before.currentTerm) parts.push(`currentTerm ${currentTerm}`)
  const isNews = votedFor !== before.votedFor || currentTerm !== before.currentTerm
  if (votedFor !== undefined && isNews) parts.push(`votedFor ${votedFor}`)
  if (snapshot !== undefined) parts.push(`snapshot ${snapshotText(snapshot)}`)
  if (truncateFrom !== undefined) parts.push(`deletes from ${truncateFrom}`)
  if (compactTo !== undefined) parts.push(`drops the log up to ${compactTo}`)
  if (entries.length > 0) parts.push(`appends ${entriesText(entries)}`)
  const [trust] = trustOf(persist)
  if (trust !== undefined && trust !== trustOf(before)[0]) parts.push(trust)
  return parts.length === 0 ? 'nothing new' : parts.join('; ')
}

export interface HardState {
  readonly currentTerm: number
  readonly votedFor: string | undefined
}

export function trustOf(holder: object): string[] {
  const trust: unknown = 'trust' in holder ? holder.trust : undefined
  if (typeof trust !== 'object' || trust === null || !('kind' in trust)) return []
  return [`trust ${String(trust.kind)}${'cleared' in trust ? ', cleared' : ''}`]
}

function snapshotText({ lastIncludedIndex, lastIncludedTerm, id }: SnapshotMeta): string {
  return `${id} of ${lastIncludedIndex}t${lastIncludedTerm}`
}

/** Numbers drawn by chance, by the order of their first appearance. */
export class Chances {
  private readonly seen = new Map<string, string>()
  private readonly counts = new Map<string, number>()

  /** `k1`, `k2`, ... for the letter `k`. */
  name(letter: string, value: number): string {
    const key = `${letter}${value}`
    const known = this.seen.get(key)
    if (known !== undefined) return known
    const count = (this.counts.get(letter) ?? 0) + 1
    this.counts.set(letter, count)
    this.seen.set(key, `${letter}${count}`)
    return `${letter}${count}`
  }
}

/** `AppendEntries` for `appendEntries`. */
export function rpcName(type: string): string {
  return type.slice(0, 1).toUpperCase() + type.slice(1)
}

/** One message, in one line; without who to whom. */
export function messageText(message: Message, chances: Chances, rounds: boolean): string {
  const untrusted = 'untrusted' in message && message.untrusted ? ` (${message.untrusted})` : ''
  return bodyText(message, chances, rounds) + untrusted
}

function bodyText(message: Message, chances: Chances, rounds: boolean): string {
  const round = (value: number) => (rounds ? ` round ${value}` : '')
  const head = `${rpcName(message.type)} term ${message.term}`
  switch (message.type) {
    case 'preVote': {
      const gone = message.leaderGone ? ' leaderGone' : ''
      return `${head} nextTerm ${message.nextTerm} last ${lastText(message)}${gone}`
    }
    case 'preVoteReply':
      return `${head} nextTerm ${message.nextTerm} ${grantText(message.voteGranted)}`
    case 'requestVote':
      return `${head} last ${lastText(message)}${message.transfer ? ' transfer' : ''}`
    case 'requestVoteReply':
      return `${head} ${grantText(message.voteGranted)}`
    case 'appendEntries': {
      const { prevLogIndex, prevLogTerm, entries, leaderCommit } = message
      const prev = `prev ${prevLogIndex}t${prevLogTerm}`
      return `${head} ${prev} [${entriesText(entries)}] leaderCommit ${leaderCommit}${round(message.round)}`
    }
    case 'appendEntriesReply': {
      const { result } = message
      const text = result.success
        ? `success matchIndex ${result.matchIndex}`
        : `failure at ${result.rejectedIndex} hint ${result.hintIndex}t${result.hintTerm}`
      return `${head} ${text}${round(message.round)}`
    }
    case 'heartbeat':
      return `${head} leaderCommit ${message.leaderCommit}${round(message.round)}`
    case 'heartbeatReply':
      return `${head} lastLogIndex ${message.lastLogIndex}${round(message.round)}`
    case 'installSnapshot': {
      const { snapshot, chunk } = message
      return `${head} ${snapshotText(snapshot)} chunk ${chunk + 1}/${snapshot.chunks}${round(message.round)}`
    }
    case 'installSnapshotReply': {
      const { snapshotId, session, nextChunk, matchIndex } = message
      const part = session === 0 ? '' : ` ${chances.name('s', session)}`
      const done = matchIndex === undefined ? '' : ` matchIndex ${matchIndex}`
      return `${head} ${snapshotId}${part} nextChunk ${nextChunk}${done}${round(message.round)}`
    }
    case 'readIndex':
      return `${head} ${chances.name('k', message.key)}`
    case 'readIndexReply':
      return `${head} ${chances.name('k', message.key)} ${message.index === undefined ? 'refused' : `index ${message.index}`}`
    default:
      return head + otherText(message, chances)
  }
}

/** Messages that need no words of their own: their fields by name. */
function otherText(message: object, chances: Chances): string {
  const envelope = ['type', 'from', 'to', 'term', 'round', 'untrusted']
  return Object.entries(message)
    .filter(([name, value]) => !envelope.includes(name) && value !== undefined)
    .map(([name, value]) =>
      name === 'key' && typeof value === 'number'
        ? ` ${chances.name('k', value)}`
        : ` ${name} ${String(value)}`,
    )
    .join('')
}

function lastText(message: {
  readonly lastLogIndex: number
  readonly lastLogTerm: number
}): string {
  return `${message.lastLogIndex}t${message.lastLogTerm}`
}

function grantText(voteGranted: boolean): string {
  return voteGranted ? 'granted' : 'refused'
}
