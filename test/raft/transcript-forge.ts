/** Messages made by hand: what a server of long ago might have sent, or one that is not even a server. */
import assert from 'node:assert/strict'
import { decodeMessage, encodeMessage } from '../../raft/codec.ts'
import type { Entry } from '../../raft/core/entry.ts'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'
import type { Arguments } from './transcript-commands.ts'

/** Fields that a type has, with what they are when nothing is said. */
const fields: Readonly<Record<string, Readonly<Record<string, number | boolean>>>> = {
  preVote: { nextTerm: 0, lastLogIndex: 0, lastLogTerm: 0, leaderGone: false },
  preVoteReply: { nextTerm: 0, voteGranted: true },
  requestVote: { lastLogIndex: 0, lastLogTerm: 0, transfer: false },
  requestVoteReply: { voteGranted: true },
  heartbeat: { leaderCommit: 0, commitTerm: 0, round: 1 },
  heartbeatReply: { lastLogIndex: 0, round: 1 },
  readIndex: { key: 1 },
  readIndexReply: { key: 1, index: 0 },
  timeoutNow: {},
  teach: { key: 1 },
  teachReply: { key: 1, lastIndex: 0 },
  distrust: {},
}

/** It goes by the wire; `undefined` when it does not get through. `inject a>b requestVote term=3 lastLogIndex=1 lastLogTerm=1` */
export function forge(args: Arguments): Message | undefined {
  const decoded = decodeMessage(encodeMessage(built(args), { cluster: 0, incarnation: 0 }))
  return typeof decoded === 'string' ? undefined : decoded.message
}

function built({ words, options }: Arguments): Message {
  const [link = '', name = ''] = words
  const [from, to] = link.split('>')
  const number = (field: string, otherwise: number) => Number(options.get(field) ?? otherwise)
  const envelope = { type: name, from, to, term: number('term', 1) }
  let body: object
  if (name === 'appendEntries') {
    const [prevLogIndex = 0, prevLogTerm = 0] = place(options.get('prev') ?? '0t0')
    const entries = (options.get('entries') ?? '').split(',').filter(text => text !== '')
    body = {
      prevLogIndex,
      prevLogTerm,
      entries: entries.map(entryOf),
      leaderCommit: number('leaderCommit', 0),
      round: number('round', 1),
    }
  } else if (name === 'appendEntriesReply') {
    const matchIndex = options.get('matchIndex')
    const [hintIndex = 0, hintTerm = 0] = place(options.get('hint') ?? '0t0')
    const rejectedIndex = number('rejected', 0)
    body = {
      round: number('round', 1),
      result:
        matchIndex === undefined
          ? { success: false, rejectedIndex, hintIndex, hintTerm }
          : { success: true, matchIndex: Number(matchIndex) },
    }
  } else if (name === 'installSnapshot') {
    const [lastIncludedIndex = 0, lastIncludedTerm = 0] = place(options.get('at') ?? '1t1')
    const configuration = configurationOf(['a', 'b', 'c'])
    const id = `x${lastIncludedIndex}`
    const snapshot: SnapshotMeta = {
      ...{ id, lastIncludedIndex, lastIncludedTerm, configuration },
      ...{ bytes: 0, chunks: 1 },
    }
    body = { snapshot, chunk: 0, round: number('round', 1), data: new Uint8Array() }
  } else {
    const known = fields[name]
    assert(known !== undefined, `${name} cannot be made by hand`)
    const pairs = Object.entries(known).map(([field, value]) => {
      const text = options.get(field)
      if (text === undefined) return [field, value]
      return [field, typeof value === 'boolean' ? text === 'true' : Number(text)]
    })
    body = Object.fromEntries(pairs) as object
  }
  return { ...envelope, ...body } as Message
}

/** `3t2` */
function place(text: string): number[] {
  return text.split('t').map(Number)
}

/** `3t2:x` is a command, `3t2:noop` a no-op. */
function entryOf(text: string): Entry {
  const [where = '', name = ''] = text.split(':')
  const [index = 0, term = 0] = place(where)
  if (name === 'noop') return { kind: 'noop', index, term }
  return { kind: 'command', index, term, data: new TextEncoder().encode(name) }
}
