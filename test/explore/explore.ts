/**
 * Every state that a small cluster of real cores can come to, one after another, breadth first.
 *
 * A message once sent may arrive at any time, any number of times, or never; any timer may fire at any moment. A state
 * is six numbers: three servers, what was sent, what once happened, and what of the budget is spent. Servers and
 * networks are told apart by 64 bits of hash, states by all they are.
 */
import assert from 'node:assert/strict'
import type { PersistedState } from '../../raft/core/input.ts'
import { majority } from '../../raft/core/quorum.ts'
import { Raft } from '../../raft/core/raft.ts'
import { freeze } from './graph.ts'
import { continued, type History } from './history.ts'
import { actions, marks, Moves, type Outcome } from './moves.ts'
import { Network } from './network.ts'
import { type Budget, founded, type Scope } from './scope.ts'
import { type CoreClass, type Server, start } from './server.ts'
import { PairTable, RowTable } from './table.ts'
import { Trie } from './trie.ts'

export interface Result {
  /** Distinct ones, those left out that another covers. */
  readonly states: number
  /** Left out: like one that is known, but that less was sent. */
  readonly covered: number
  /** Whether there are no more. */
  readonly complete: boolean
  /** The longest of the shortest ways to a state. */
  readonly depth: number
  /** Ways from state to state that were looked at. */
  readonly edges: number
  /** Steps that a core took for them. */
  readonly steps: number
  readonly servers: number
  readonly messages: number
  /** States in which two servers lead, of different terms. */
  readonly twoLeaders: number
  /** States first reached by a step of this kind. */
  readonly seen: Readonly<Record<keyof typeof marks, number>>
}

/** Budgets are packed into one number, four bits each. */
const costs = {
  elections: 1,
  crashes: 1 << 4,
  proposals: 1 << 8,
  changes: 1 << 12,
  heartbeats: 1 << 16,
  snapshots: 1 << 20,
  damages: 1 << 24,
} as const satisfies Record<keyof Budget, number>

const network = 3
const history = 4
const spent = 5

export class Explorer {
  private readonly scope: Scope
  private readonly trie = new Trie()
  private readonly network: Network
  private readonly moves: Moves
  private readonly histories: History[] = []
  private readonly historyNumbers = new Map<string, number>()
  private readonly continuations = new PairTable()
  private readonly matches = new PairTable()
  private readonly states = new RowTable(6, 1 << 14)
  /** States that differ in what was sent alone; of each group those that no other covers. */
  private readonly groups = new RowTable(5)
  private readonly members: number[][] = []
  private readonly superseded = new Set<number>()
  private covered = 0
  /** States as they were reached, before `saturated`. */
  private readonly raw = new RowTable(6, 1 << 14)
  /** Of each state: the one it was first reached from, and by which action of which server. */
  private readonly parents: number[] = [-1]
  private readonly ways: number[] = [-1]
  private readonly depths: number[] = [0]
  private readonly order: readonly string[]
  private edges = 0
  private twoLeaders = 0
  private readonly seen = new Map<number, number>()

  constructor(scope: Scope, core: CoreClass = Raft) {
    this.scope = scope
    this.order = scope.servers.map(({ id }) => id)
    assert.equal(this.order.length, 3)
    const { trie } = this
    const network = new Network(this.order)
    this.network = network
    this.moves = new Moves({
      core,
      trie,
      network,
      changes: scope.changes ?? [],
      limits: scope.limits ?? {},
    })
    const servers = scope.servers.map(founder => {
      const entries = freeze(founded(scope, founder))
      const log = entries.reduce((node, entry) => trie.child(node, entry), 0)
      const { term, votedFor } = founder
      const disk: PersistedState = { currentTerm: term, votedFor, snapshot: undefined, entries }
      return this.moves.number(start(core, { id: founder.id, disk: freeze(disk), log, run: 1 }))
    })
    const past = this.past({ leaders: scope.leaders, committed: [], lost: [] })
    this.states.add([...servers, 0, past, 0])
  }

  /** Looks at states until there are no more, or `limit` are known. Throws, with the way there, what is wrong. */
  run(limit: number): Result {
    let next = 0
    for (; next < this.states.size && this.states.size < limit; next++) {
      if (this.superseded.delete(next)) continue
      this.expand(next)
    }
    const count = (mark: number) => this.seen.get(mark) ?? 0
    return {
      states: this.states.size,
      covered: this.covered,
      complete: next === this.states.size,
      depth: this.depths.at(-1) ?? 0,
      edges: this.edges,
      steps: this.moves.steps,
      servers: this.moves.servers.length,
      messages: this.network.messages,
      twoLeaders: this.twoLeaders,
      seen: Object.fromEntries(
        Object.entries(marks).map(([name, mark]) => [name, count(mark)]),
      ) as Result['seen'],
    }
  }

  private expand(state: number): void {
    for (let server = 0; server < 3; server++) {
      const number = this.states.at(state, server)
      const { raft, writes } = this.moves.server(number)
      if (writes.length > 0) this.go(state, server, actions.write)
      if (writes.length > 1) this.go(state, server, actions.writeAll)
      if (this.affords(state, 'crashes')) this.go(state, server, actions.crash, costs.crashes)
      if (this.affords(state, 'damages')) {
        this.go(state, server, actions.loseTail, costs.damages)
        this.go(state, server, actions.loseAll, costs.damages)
      }
      if (raft.role !== 'leader') {
        if (!this.affords(state, 'elections')) continue
        this.go(state, server, actions.campaign, costs.elections)
        continue
      }
      this.go(state, server, actions.resign)
      if (this.affords(state, 'heartbeats')) {
        this.go(state, server, actions.heartbeat, costs.heartbeats)
      }
      if (this.affords(state, 'proposals')) {
        const which = actions.propose + this.spentOf(state, 'proposals')
        this.go(state, server, which, costs.proposals)
      }
      if (this.affords(state, 'changes')) {
        for (let n = 0; n < (this.scope.changes ?? []).length; n++) {
          this.go(state, server, actions.change + n, costs.changes)
        }
      }
      if (this.affords(state, 'snapshots') && raft.lastApplied > raft.snapshotIndex) {
        this.go(state, server, actions.snapshot, costs.snapshots)
      }
    }
    for (let server = 0; server < 3; server++) {
      for (const message of this.network.for(server, this.states.at(state, network))) {
        this.go(state, server, actions.message + message)
      }
    }
  }

  private spentOf(state: number, name: keyof Budget): number {
    return Math.floor(this.states.at(state, spent) / costs[name]) & 15
  }

  private affords(state: number, name: keyof Budget): boolean {
    return this.spentOf(state, name) < this.scope.budget[name]
  }

  /** Takes a step, and where it may be, the same step broken off. */
  private go(state: number, server: number, action: number, cost = 0): void {
    this.try(state, server, action, cost)
    const isQuick = this.scope.limits?.quickDisks === true
    const isStep = action >= actions.propose || action < actions.crash || action > actions.loseAll
    if (!isQuick || !isStep || !this.affords(state, 'crashes')) return
    this.try(state, server, action + actions.brokenOff, cost + costs.crashes)
  }

  private try(state: number, server: number, action: number, cost: number): void {
    this.edges += 1
    const outcome = this.moves.outcome(this.states.at(state, server), action)
    if (outcome === undefined) return
    try {
      this.reach(state, server, action, outcome, cost)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      const way = [...this.way(state), this.describe(server, action)].join('\n  ')
      throw new assert.AssertionError({
        message: `${text.split('\n')[0]}\n${this.scope.name}:\n  ${way}`,
      })
    }
  }

  private reach(
    state: number,
    server: number,
    action: number,
    outcome: Outcome,
    cost: number,
  ): void {
    if (outcome.fault !== undefined) throw outcome.fault
    const { states, moves } = this
    const row = [0, 1, 2, network, history, spent].map(column => states.at(state, column))
    row[server] = outcome.next
    let sent = states.at(state, network)
    for (const message of outcome.sent) sent = this.network.add(sent, message)
    row[network] = sent
    row[spent] = states.at(state, spent) + cost
    if (outcome.fact >= 0) row[history] = this.continued(states.at(state, history), outcome.fact)
    const known = this.raw.size
    if (this.raw.add(row) < known) return
    row[network] = this.saturated(row.slice(0, 3), server, outcome.sent, sent)
    const before = states.size
    if (states.has(row) || this.isCovered(row)) return
    states.add(row)
    assert.equal(states.size, before + 1)
    const servers = row.slice(0, 3).map(number => moves.server(number))
    this.check(servers, server, outcome)
    this.parents.push(state)
    this.ways.push(4 * action + server)
    this.depths.push((this.depths[state] ?? 0) + 1)
    const leaders = row.slice(0, 3).filter(number => (moves.leads[number] ?? 0) > 0).length
    if (leaders > 1) this.twoLeaders += 1
    for (const mark of Object.values(marks)) {
      if ((outcome.marks & mark) !== 0) this.seen.set(mark, (this.seen.get(mark) ?? 0) + 1)
    }
  }

  /**
   * With the answers of servers that nothing changes at: what they may say at any time counts as said.
   */
  private saturated(
    servers: readonly number[],
    changed: number,
    fresh: readonly number[],
    sent: number,
  ): number {
    let all = sent
    const open = [...fresh, ...this.network.for(changed, sent)]
    for (let message = open.pop(); message !== undefined; message = open.pop()) {
      const server = servers[this.network.receiver(message)]
      if (server === undefined) continue
      const outcome = this.moves.outcome(server, actions.message + message)
      if (outcome?.next !== server || outcome.fact >= 0 || outcome.fault !== undefined) continue
      for (const answer of outcome.sent) {
        if (this.network.has(all, answer)) continue
        all = this.network.add(all, answer)
        open.push(answer)
      }
    }
    return all
  }

  /**
   * Whether a state is known that differs from this one only in that more was sent: whatever can come of this one can
   * come of that. If not, this one takes the place of those that it covers.
   */
  private isCovered(row: readonly number[]): boolean {
    const [a = 0, b = 0, c = 0, sent = 0, past = 0, cost = 0] = row
    const group = this.groups.add([a, b, c, past, cost])
    const members = (this.members[group] ??= [])
    for (const state of members) {
      if (this.network.includes(this.states.at(state, network), sent)) {
        this.covered += 1
        return true
      }
    }
    const kept = members.filter(
      state => !this.network.includes(sent, this.states.at(state, network)),
    )
    for (const state of members) if (!kept.includes(state)) this.superseded.add(state)
    this.members[group] = [...kept, this.states.size]
    return false
  }

  private continued(past: number, fact: number): number {
    const known = this.continuations.get(past, fact)
    if (known !== undefined) return known
    const [before, news] = [this.histories[past], this.moves.facts[fact]]
    assert(before !== undefined && news !== undefined)
    const number = this.past(continued(before, news, this.trie))
    this.continuations.set(past, fact, number)
    return number
  }

  private past(history: History): number {
    const key = JSON.stringify(history)
    const known = this.historyNumbers.get(key)
    if (known !== undefined) return known
    this.histories.push(history)
    this.historyNumbers.set(key, this.histories.length - 1)
    return this.histories.length - 1
  }

  /** What is to be asked of the servers together. */
  private check(servers: readonly Server[], changed: number, { fact }: Outcome): void {
    const server = servers[changed]
    assert(server !== undefined)
    for (const other of servers) {
      assert(
        this.match(server.log, other.log) && this.match(server.log, other.diskLog),
        'log matching',
      )
    }
    const news = this.moves.facts[fact]
    if (news === undefined || !news.leads || news.to === news.from) return
    const { trie } = this
    const node = trie.ancestor(server.log, news.to)
    const { voters, outgoing } = server.raft.configuration
    for (const half of [voters, outgoing]) {
      if (half.length === 0) continue
      // One whose disk was damaged once had what it acknowledged, and has no vote now.
      const have = servers.filter(
        ({ raft, disk, diskLog }) =>
          half.includes(raft.id) &&
          ((disk.trust !== undefined && disk.trust.kind !== 'full') ||
            (trie.indexOf(diskLog) >= news.to && trie.ancestor(diskLog, news.to) === node)),
      )
      assert(
        have.length >= majority(half.length),
        `durability: ${news.to} is committed on ${have.length} of ${half.length} disks`,
      )
    }
  }

  private match(a: number, b: number): boolean {
    const known = this.matches.get(a, b)
    if (known !== undefined) return known === 1
    const matches = this.trie.match(a, b)
    this.matches.set(a, b, matches ? 1 : 0)
    return matches
  }

  /** The shortest way to a state, a line for each step. */
  private way(state: number): string[] {
    const lines: string[] = []
    for (let at = state; at > 0; at = this.parents[at] ?? 0) {
      const way = this.ways[at] ?? 0
      lines.unshift(this.describe(way & 3, way >> 2))
    }
    return lines
  }

  private describe(server: number, action: number): string {
    if (action >= actions.brokenOff) {
      return `${this.describe(server, action - actions.brokenOff)}, and crashes before that is on disk`
    }
    const id = this.order[server] ?? '?'
    if (action >= actions.message) {
      return `${id} gets ${JSON.stringify(this.network.message(action - actions.message))}`
    }
    const names = Object.entries(actions).filter(([, first]) => first <= action)
    return `${id} ${names.at(-1)?.[0] ?? ''}`
  }
}
