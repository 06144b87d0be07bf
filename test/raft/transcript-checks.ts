/**
 * The five properties of the paper's Figure 3, looked at after every step of a transcript: whatever a scenario is
 * about, it must not break one of these.
 */
import type { Entry } from '../../raft/core/entry.ts'
import { sizeOf } from '../../raft/core/entry.ts'
import type { Server } from './transcript-server.ts'
import { entryText } from './transcript-words.ts'

export class Violation extends Error {}

function violated(property: string, text: string): never {
  throw new Violation(`${property}: ${text}`)
}

export class Checks {
  private readonly leaders = new Map<number, string>()
  /** Entries ever committed on some server. */
  private readonly committed = new Map<number, Entry>()
  private readonly commitOf = new Map<string, number>()
  /** What stands at an index and term, wherever it does. */
  private readonly contents = new Map<string, string>()

  /** A server starts with what it has: its log counts from the beginning. */
  started(server: Server): void {
    const { id, raft } = server
    this.commitOf.set(id, raft?.commitIndex ?? 0)
    this.checkContents(server)
  }

  stepped(server: Server, servers: Iterable<Server>): void {
    this.checkLeader(server)
    this.checkContents(server)
    this.checkCommit(server)
    for (const other of servers) if (other !== server) checkMatching(server, other)
  }

  /** One line that says what holds, after looking at everything once more. */
  summary(servers: readonly Server[]): string {
    for (const server of servers) this.stepped(server, servers)
    return 'one leader a term, logs match, leaders complete, nothing committed differs'
  }

  private checkLeader({ id, raft, memory }: Server): void {
    if (raft?.role !== 'leader') return
    const other = this.leaders.get(raft.currentTerm)
    if (other === id) return
    if (other !== undefined) {
      violated('election safety', `${other} and ${id} both lead term ${raft.currentTerm}`)
    }
    this.leaders.set(raft.currentTerm, id)
    for (const [index, entry] of this.committed) {
      if (entry.term >= raft.currentTerm || index <= raft.snapshotIndex) continue
      const own = memory.find(candidate => candidate.index === index)
      if (own?.term === entry.term) continue
      violated('leader completeness', `${id} leads without the committed ${entryText(entry)}`)
    }
  }

  private checkContents({ id, memory }: Server): void {
    for (const entry of memory) {
      const key = `${entry.index}t${entry.term}`
      const text = `${entryText(entry)}, ${sizeOf(entry)} bytes`
      const known = this.contents.get(key)
      if (known === undefined) this.contents.set(key, text)
      else if (known !== text) violated('log matching', `${known}, but ${text} at ${id}`)
    }
  }

  private checkCommit({ id, raft, memory }: Server): void {
    if (raft === undefined) return
    const before = this.commitOf.get(id) ?? 0
    for (const entry of memory) {
      if (entry.index <= before || entry.index > raft.commitIndex) continue
      const known = this.committed.get(entry.index)
      if (known !== undefined && known.term !== entry.term) {
        violated(
          'state machine safety',
          `${id} commits ${entryText(entry)}, but ${entryText(known)} was committed`,
        )
      }
      this.committed.set(entry.index, entry)
    }
    if (raft.commitIndex < before) violated('commitIndex falls', id)
    this.commitOf.set(id, raft.commitIndex)
  }
}

/** Two logs with one entry in common are the same up to there, as far as both still have it. */
function checkMatching(a: Server, b: Server): void {
  const terms = new Map(b.memory.map(({ index, term }) => [index, term]))
  const isSame = ({ index, term }: Entry) => terms.get(index) === term
  const last = a.memory.findLastIndex(isSame)
  const odd = a.memory.slice(0, Math.max(0, last)).find(e => terms.has(e.index) && !isSame(e))
  if (odd === undefined) return
  violated('log matching', `${a.id} and ${b.id} differ at ${odd.index}, below a common entry`)
}
