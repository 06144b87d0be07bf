/**
 * The servers of one transcript, and the network between them: messages lie in one queue in the order of their
 * sending, until a command takes them out. Nothing moves by itself.
 */
import assert from 'node:assert/strict'
import { type Configuration, configurationOf } from '../../raft/core/configuration.ts'
import type { Effects, ProposalResult } from '../../raft/core/effect.ts'
import type { SettledProposal } from '../../raft/fate.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { Input, PersistedState } from '../../raft/core/input.ts'
import type { Message } from '../../raft/core/message.ts'
import { defaultSettings, type RaftSettings } from '../../raft/core/settings.ts'
import { Checks } from './transcript-checks.ts'
import { Server, type Surroundings } from './transcript-server.ts'
import {
  Chances,
  configurationText,
  messageText,
  rpcName,
  statusText,
  trustOf,
} from './transcript-words.ts'

export class World implements Surroundings {
  readonly servers = new Map<string, Server>()
  readonly snapshots = new Map<string, readonly string[]>()
  /** Under way. */
  queue: Message[] = []
  /** Put aside, by name. */
  readonly kept = new Map<string, Message>()
  /** Links that carry nothing: `a>b`. */
  readonly cut = new Set<string>()
  /** Message types that are not shown. */
  readonly hidden = new Set<string>()
  rounds = false
  readonly checks = new Checks()
  readonly lines: string[] = []
  private readonly chances = new Chances()
  private indent = ''
  /** Names of what callers asked for, by id. */
  private readonly names = new Map<number, string>()
  private muted = 0
  /** Commit index as it was last told. */
  private readonly told = new Map<string, number>()
  private readonly goneBy = new Map<string, Configuration>()

  say(text: string): void {
    if (this.muted === 0) this.lines.push(this.indent + text)
  }

  quietly(run: () => void): void {
    this.muted += 1
    run()
    this.muted -= 1
  }

  /** Founders have one log: their configuration. */
  found(voters: readonly string[], learners: readonly string[], settings: Partial<RaftSettings>) {
    const configuration = configurationOf(voters, learners)
    const first: Entry = { kind: 'configuration', index: 1, term: 1, configuration }
    for (const id of [...voters, ...learners]) {
      const disk = { currentTerm: 1, votedFor: undefined, snapshot: undefined, entries: [first] }
      this.add(id, disk, settings)
    }
  }

  add(id: string, disk: PersistedState, settings: Partial<RaftSettings>): void {
    assert(!this.servers.has(id), `${id} is there already`)
    const server = new Server(id, disk, { ...defaultSettings, ...settings }, this)
    this.servers.set(id, server)
    this.start(server)
  }

  start(server: Server, partial = 0): void {
    server.start(partial)
    this.told.set(server.id, server.raft?.commitIndex ?? 0)
    if (server.raft !== undefined) this.goneBy.set(server.id, server.raft.configuration)
    this.checks.started(server)
  }

  server(id: string): Server {
    const server = this.servers.get(id)
    assert(server !== undefined, `no server ${id}`)
    return server
  }

  /** By id; down ones too. */
  get all(): Server[] {
    return [...this.servers.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  isUp(id: string): boolean {
    return this.servers.get(id)?.raft !== undefined
  }

  nameFor(text: string): number {
    const id = this.names.size + 1
    this.names.set(id, text)
    return id
  }

  post(message: Message): void {
    const { from, to } = message
    const isCut = this.cut.has(`${from}>${to}`)
    if (!this.hidden.has(message.type.toLowerCase())) {
      const text = messageText(message, this.chances, this.rounds)
      this.say(`${from}>${to} ${text}${isCut ? ' (lost)' : ''}`)
    }
    if (!isCut) this.queue.push(message)
  }

  show(message: Message): void {
    this.say(`${message.from}>${message.to} ${messageText(message, this.chances, this.rounds)}`)
  }

  /** Hands a message to its receiver. */
  arrive(message: Message): void {
    const { from, to } = message
    const isShown = !this.hidden.has(message.type.toLowerCase())
    const text = isShown ? messageText(message, this.chances, this.rounds) : rpcName(message.type)
    const before = this.lines.length
    if (!this.isUp(to)) {
      if (isShown) this.say(`${to} is down, lost: ${from}>${to} ${text}`)
      return
    }
    this.say(`${to} <- ${from} ${text}`)
    this.indent = '  '
    this.step(to, { type: 'message', message })
    this.indent = ''
    // What is hidden is shown all the same if it did something.
    if (!isShown && this.muted === 0 && this.lines.length === before + 1) this.lines.pop()
  }

  step(id: string, input: Input): void {
    this.server(id).step(input)
  }

  stepped(server: Server): void {
    this.checks.stepped(server, this.servers.values())
  }

  tell(server: Server, effects: Effects): void {
    const { id, raft } = server
    assert(raft !== undefined)
    const status = statusText(raft)
    if (status !== server.status) this.say(`${id} ${status}`)
    server.status = status
    for (const result of [...effects.proposals, ...server.fate.after(effects)]) {
      this.tellProposal(server, result)
    }
    if (effects.configuration && effects.configuration !== this.goneBy.get(id)) {
      this.goneBy.set(id, effects.configuration)
      this.say(`${id} goes by ${configurationText(effects.configuration)}`)
    }
    if (raft.commitIndex !== this.told.get(id)) {
      this.told.set(id, raft.commitIndex)
      this.say(`${id} commitIndex ${raft.commitIndex}`)
    }
    for (const result of effects.reads) {
      const place = result.outcome === 'ready' ? ` at ${result.index}` : ''
      this.tellResult(server, 'read', result, place)
    }
    for (const result of effects.transfers) this.tellResult(server, 'transfer', result)
    for (const result of effects.changes) this.tellResult(server, 'change', result)
    if (effects.removed) this.say(`${id} is removed`)
    for (const peer of effects.regressed) this.say(`${id} sees that ${peer} lost what it had`)
    for (const text of trustOf(effects)) this.say(`${id} ${text}`)
    for (const { property, from, term } of effects.violations) {
      this.say(`${id} refuses ${from}, term ${term}: ${property}`)
    }
  }

  private tellProposal(server: Server, result: ProposalResult | SettledProposal): void {
    const { outcome } = result
    let more = outcome === 'accepted' ? ` at ${result.index}t${result.term}` : ''
    if (outcome === 'refused') {
      const isElsewhere = result.leader !== undefined && result.leader !== server.id
      more = ` ${result.reason}${isElsewhere ? `, ${result.leader} leads` : ''}`
    }
    this.tellResult(server, 'proposal', { id: result.id, outcome }, more)
  }

  private tellResult(
    { id }: Server,
    what: string,
    result: { readonly id: number; readonly outcome: string; readonly reason?: string },
    more = '',
  ): void {
    const { outcome, reason } = result
    const why = reason === undefined ? '' : ` ${reason}`
    const name = this.names.get(result.id) ?? ''
    this.say(`${id} ${what} ${name}${name === '' ? '' : ' '}${outcome}${more}${why}`)
  }
}
