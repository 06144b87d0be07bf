/**
 * A cluster to which nothing happens: clocks that are not quite alike, loops that now and then are late, a command
 * every half second, and a snapshot every so many. Its leader should lead for ever, and say nothing twice.
 */
import assert from 'node:assert/strict'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { Input } from '../../raft/core/input.ts'
import type { Message } from '../../raft/core/message.ts'
import { Raft } from '../../raft/core/raft.ts'
import { defaultSettings } from '../../raft/core/settings.ts'
import { SeededRandom } from './seeded-random.ts'

const ids = ['a', 'b', 'c', 'd', 'e']
const { heartbeatMs } = defaultSettings
/** Coarser than the driver's metronome: a slow clock makes every heartbeat late by almost as much again. */
const beatMs = heartbeatMs
const snapshotEvery = 5000

interface Quiet {
  readonly raft: Raft
  /** Of its clock against true time, within 1 %. */
  readonly rate: number
  /** True ms that its loop has not told it of. */
  owed: number
}

export interface QuietResult {
  /** Beyond the first one. */
  readonly elections: number
  readonly commits: number
  readonly messages: number
}

export function quietDay(seed: number, size: number, hours: number): QuietResult {
  const random = new SeededRandom(seed)
  const voters = ids.slice(0, size)
  const first: Entry = {
    kind: 'configuration',
    index: 1,
    term: 1,
    configuration: configurationOf(voters),
  }
  const persisted = { currentTerm: 1, votedFor: undefined, snapshot: undefined, entries: [first] }
  const servers = voters.map((id): Quiet => {
    const options = { id, settings: defaultSettings, persisted, seed: random.between(0, 2 ** 31) }
    return { raft: new Raft(options), rate: 0.99 + 0.02 * random.next(), owed: 0 }
  })
  const posted: Message[] = []
  const terms = new Set<number>()
  /** The newest entry that was sent, by term and receiver. */
  const sent = new Map<string, number>()
  let messages = 0

  /** Nothing is lost here, so nothing is sent twice. */
  function post(message: Message): void {
    posted.push(message)
    if (message.type !== 'appendEntries') return
    const [first] = message.entries
    if (first === undefined) return
    const key = `${message.to} ${message.term}`
    const before = sent.get(key) ?? 0
    assert(first.index > before, `entry ${first.index} is sent again to ${message.to}`)
    sent.set(key, first.index + message.entries.length - 1)
  }

  function step(server: Quiet, input: Input): void {
    const { persist, send, apply } = server.raft.step(input)
    for (const { message } of send) post(message)
    if (server.raft.role === 'leader') terms.add(server.raft.currentTerm)
    if (persist !== undefined) step(server, { type: 'persisted', seq: persist.seq })
    const last = apply.at(-1)
    if (last !== undefined) applied(server, last)
  }

  function applied(server: Quiet, { index, term }: Entry): void {
    step(server, { type: 'applied', index })
    if (index % snapshotEvery !== 0) return
    const { raft } = server
    const snapshot = {
      id: `${raft.id}:${index}`,
      lastIncludedIndex: index,
      lastIncludedTerm: term,
      configuration: raft.configurationAt(index),
      bytes: 0,
      chunks: 1,
    }
    step(server, { type: 'snapshotSaved', snapshot })
  }

  function ask(leader: Quiet, id: number): void {
    step(leader, { type: 'propose', proposals: [{ id, data: new Uint8Array(20) }] })
  }

  function deliver(): void {
    for (let message = posted.shift(); message !== undefined; message = posted.shift()) {
      const { to } = message
      const target = servers.find(({ raft }) => raft.id === to)
      assert(target !== undefined)
      messages += 1
      step(target, { type: 'message', message })
    }
  }

  const beats = (hours * 3_600_000) / beatMs
  for (let beat = 1; beat <= beats; beat++) {
    for (const server of servers) {
      server.owed += beatMs
      // A loop that is busy for up to three beats.
      if (random.chance(0.001) && server.owed <= 3 * beatMs) continue
      const ms = server.owed * server.rate
      server.owed = 0
      step(server, { type: 'elapse', ms })
      // Now and then while its heartbeats are on their way.
      if (beat % 10 === 5 && server.raft.role === 'leader') ask(server, beat)
      // What was sent arrives before the next one's beat, or after it.
      if (posted.length > 0 && random.chance(0.5)) deliver()
    }
    deliver()
    if (beat % 10 !== 0) continue
    const leader = servers.find(({ raft }) => raft.role === 'leader')
    if (leader !== undefined) ask(leader, beat)
  }
  const commits = Math.min(...servers.map(({ raft }) => raft.commitIndex))
  return { elections: terms.size - 1, commits, messages }
}
