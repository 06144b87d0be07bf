/**
 * What every server does with everything that can happen to it, each computed once by the real core.
 *
 * The same server in the same situation turns up in thousands of states: its core takes the step in one of them, the
 * others look the outcome up. So millions of states cost some ten thousand steps.
 */
import assert from 'node:assert/strict'
import type { ConfigurationChange } from '../../raft/core/configuration.ts'
import { blankState, type PersistedState } from '../../raft/core/input.ts'
import { freeze } from './graph.ts'
import { type Fact, isNews, nameOf } from './history.ts'
import type { Network } from './network.ts'
import type { Limits } from './scope.ts'
import { type CoreClass, hashOf, type Server, start, Work } from './server.ts'
import { waits } from './still.ts'
import { PairTable } from './table.ts'
import type { Trie } from './trie.ts'

/** What can happen to a server; a message's number is added to `message`. */
export const actions = {
  campaign: 0,
  write: 1,
  writeAll: 2,
  crash: 3,
  heartbeat: 4,
  resign: 5,
  snapshot: 6,
  loseTail: 7,
  loseAll: 8,
  propose: 16,
  change: 24,
  message: 32,
  /** Added to any of the others: the server crashes after that step, before anything of it is on disk. */
  brokenOff: 1 << 24,
} as const

/** What is worth counting of a step. */
export const marks = {
  truncated: 1,
  configurationRolledBack: 2,
  unsyncedLost: 4,
  olderTermCommitted: 8,
  writesMerged: 16,
  snapshotInstalled: 32,
  proposalLost: 64,
  jointCommitted: 128,
} as const

export interface Outcome {
  readonly next: number
  readonly sent: readonly number[]
  /** A fact's number, or -1. */
  readonly fact: number
  readonly marks: number
  /** What the core or a check said: the search ends here. */
  readonly fault?: Error
}

export class Moves {
  readonly servers: Server[] = []
  /** Of each server: its term if it leads, else 0. */
  readonly leads: number[] = []
  readonly facts: Fact[] = []
  /** How often a core took a step for this. */
  steps = 0
  private readonly core: CoreClass
  private readonly trie: Trie
  private readonly network: Network
  private readonly changes: readonly ConfigurationChange[]
  private readonly limits: Limits
  private readonly serverNumbers = new PairTable()
  private readonly factNumbers = new Map<string, number>()
  private readonly outcomes: Outcome[] = []
  /** By server and action; 0 is nothing, else an outcome's number plus one. */
  private readonly known = new PairTable()

  constructor(options: {
    readonly core: CoreClass
    readonly trie: Trie
    readonly network: Network
    readonly changes: readonly ConfigurationChange[]
    readonly limits: Limits
  }) {
    this.core = options.core
    this.trie = options.trie
    this.network = options.network
    this.changes = options.changes
    this.limits = options.limits
  }

  server(number: number): Server {
    const found = this.servers[number]
    assert(found !== undefined)
    return found
  }

  number(server: Server): number {
    const { low, high } = hashOf(server)
    const known = this.serverNumbers.get(low, high)
    if (known !== undefined) return known
    this.servers.push(server)
    this.leads.push(server.raft.role === 'leader' ? server.raft.currentTerm : 0)
    this.serverNumbers.set(low, high, this.servers.length - 1)
    return this.servers.length - 1
  }

  /** What comes of `action` at a server; `undefined` when nothing does. */
  outcome(server: number, action: number): Outcome | undefined {
    const known = this.known.get(server, action)
    if (known !== undefined) return known === 0 ? undefined : this.outcomes[known - 1]
    this.steps += 1
    const outcome = this.take(server, action)
    const { next, sent, fact, fault } = outcome
    if (next === server && sent.length === 0 && fact < 0 && fault === undefined) {
      this.known.set(server, action, 0)
      return undefined
    }
    this.outcomes.push(outcome)
    this.known.set(server, action, this.outcomes.length)
    return outcome
  }

  private take(number: number, action: number): Outcome {
    const before = this.server(number)
    if (action === actions.crash) return this.restart(before, before.disk, before.diskLog)
    if (action === actions.loseTail) return this.loseTail(before)
    if (action === actions.loseAll) return this.restart(before, blankState, 0)
    if (action >= actions.brokenOff) return this.breakOff(before, action - actions.brokenOff)
    return this.play(before, action, this.limits)
  }

  /** Quick disks are too slow for once. A step that writes nothing is none that could be broken off. */
  private breakOff(before: Server, action: number): Outcome {
    const played = this.play(before, action, { ...this.limits, quickDisks: false })
    const { writes } = this.server(played.next)
    const { next } = this.restart(before, before.disk, before.diskLog)
    if (writes.length > 0) return { ...played, next, marks: played.marks | marks.unsyncedLost }
    return { next: this.number(before), sent: [], fact: -1, marks: 0 }
  }

  private play(before: Server, action: number, limits: Limits): Outcome {
    const work = new Work(before, this.trie, limits)
    try {
      this.act(work, action)
      const after = work.finish()
      const { deed } = work
      const sent = [...new Set(deed.sent.map(message => this.network.number(message)))]
      return {
        next: this.number(after),
        sent: sent.sort((a, b) => a - b),
        fact: this.fact(before, after, deed.lost),
        marks:
          this.marks(before, after, work) | (action === actions.writeAll ? marks.writesMerged : 0),
      }
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error))
      return { next: this.number(before), sent: [], fact: -1, marks: 0, fault }
    }
  }

  /** Starts anew with what is on the disk, all else is gone. */
  private restart({ raft, writes, run }: Server, disk: PersistedState, log: number): Outcome {
    const next = this.number(start(this.core, { id: raft.id, disk, log, run: run + 1 }))
    return { next, sent: [], fact: -1, marks: writes.length > 0 ? marks.unsyncedLost : 0 }
  }

  /** Term and vote are kept apart from the log, and survive. */
  private loseTail(server: Server): Outcome {
    const { disk, diskLog } = server
    const cut = freeze<PersistedState>({
      ...disk,
      entries: disk.entries.slice(0, -1),
      trust: disk.trust?.kind === 'unknown' ? disk.trust : { kind: 'relearning' },
    })
    const last = cut.entries.at(-1)?.index ?? disk.snapshot?.lastIncludedIndex ?? 0
    return this.restart(server, cut, this.trie.ancestor(diskLog, last))
  }

  private act(work: Work, action: number): void {
    if (action >= actions.message) {
      const message = this.network.message(action - actions.message)
      return work.step({ type: 'message', message })
    }
    if (action >= actions.change) {
      const change = this.changes[action - actions.change]
      assert(change !== undefined)
      return work.step({ type: 'changeConfiguration', id: 1, change })
    }
    if (action >= actions.propose) {
      const id = action - actions.propose + 1
      return work.step({ type: 'propose', proposals: [{ id, data: new Uint8Array([id, 0]) }] })
    }
    switch (action) {
      case actions.campaign:
        return work.campaign(waits.campaign)
      case actions.write:
        return work.finishWrites(1)
      case actions.writeAll:
        return work.finishWrites(Infinity)
      case actions.heartbeat:
        return work.step({ type: 'elapse', ms: waits.heartbeat })
      case actions.resign:
        return work.step({ type: 'elapse', ms: waits.resign })
      case actions.snapshot:
        return work.saveSnapshot()
      default:
        assert.fail(`no action ${action}`)
    }
  }

  private fact(
    { raft: before }: Server,
    { raft, log }: Server,
    lost: readonly { readonly index: number; readonly term: number }[],
  ): number {
    const leads = raft.role === 'leader'
    const led = before.role === 'leader' && before.currentTerm === raft.currentTerm
    const fact: Fact = {
      server: raft.id,
      term: raft.currentTerm,
      log,
      elected: leads && !led,
      leads: leads || led,
      from: before.commitIndex,
      to: raft.commitIndex,
      lost: lost.map(({ index, term }) => nameOf(index, term)),
    }
    assert(raft.currentTerm >= before.currentTerm && fact.to >= fact.from, 'term or commit fell')
    if (!isNews(fact)) return -1
    const key = JSON.stringify(fact)
    let number = this.factNumbers.get(key)
    if (number === undefined) {
      number = this.facts.push(fact) - 1
      this.factNumbers.set(key, number)
    }
    return number
  }

  private marks(before: Server, after: Server, { deed }: Work): number {
    const { trie } = this
    const { raft } = after
    let sum = 0
    if (deed.truncatedFrom !== undefined) sum |= marks.truncated
    const configurations =
      JSON.stringify(raft.configuration) !== JSON.stringify(before.raft.configuration)
    if (deed.truncatedFrom !== undefined && configurations) sum |= marks.configurationRolledBack
    if (deed.installed) sum |= marks.snapshotInstalled
    if (deed.lost.length > 0) sum |= marks.proposalLost
    if (raft.role === 'leader' && raft.commitIndex > before.raft.commitIndex) {
      const first = trie.ancestor(after.log, before.raft.commitIndex + 1)
      if (trie.termOf(first) > 1 && trie.termOf(first) < raft.currentTerm)
        sum |= marks.olderTermCommitted
      if (before.raft.configuration.outgoing.length > 0) sum |= marks.jointCommitted
    }
    return sum
  }
}
