/**
 * Opening a store: all is read and checked; a damaged database is set aside, and the server begins anew on an empty
 * one, with its term and vote but without a voice until a leader has taught it everything again.
 *
 * The steps of that hand-over: the marker says what is to be done; the database is moved; the new one is told term,
 * vote and trust; the marker goes. Any of them can be the last before a crash; the next start goes on from there.
 *
 * Invariant: a database that was found damaged is never believed again, by any later start, and never deleted.
 */
import type { PersistedState } from './core/input.ts'
import { synced, type Database, type Disk, type Got, type Operation } from './database.ts'
import { RaftError } from './error.ts'
import { LogStore, type LogStoreParts } from './log-store.ts'
import { markerText, parseMarker, type Finding, type HandOver } from './marker.ts'
import { Slots } from './slots.ts'
import {
  checkChunks,
  isVoteKnown,
  judge,
  readChunkOwners,
  readPartial,
  readStore,
  type Store,
} from './store-check.ts'
import {
  chunkKey,
  emptyTail,
  partialKey,
  sealTail,
  sentence,
  tailKey,
  type Tail,
} from './store-layout.ts'
import { markCodec, voteCodec, type Mark, type Vote } from './vote-file.ts'

/** More damages than that, into which nobody has looked: the disk itself is not to be trusted. */
export const maxAside = 3

/** `raft-damaged`: the server begins anew. `raft-vote-mended`: the vote file was made whole from the database. */
export type Report = (event: 'raft-damaged' | 'raft-vote-mended', text: string) => void

/** Ends in RAFT_DAMAGED (more than is kept aside), RAFT_STORE_VERSION, or what the disk says. */
export function openLogStore(disk: Disk, done: Got<LogStore>, report: Report = () => {}): void {
  const { marker, vote, mark } = disk
  const reading = <T>(then: (value: T | undefined) => void): Got<T> => {
    return (error, value) => (error === undefined ? then(value) : done(error))
  }
  const begin = (finding: Finding | undefined, votes: Buffer, marks: Buffer): void => {
    new Opening({
      ...{ disk, done, report, finding },
      vote: new Slots(vote, voteCodec, votes),
      mark: new Slots(mark, markCodec, marks),
    }).run()
  }
  const nothing = Buffer.alloc(0)
  const readFiles = (finding: Finding | undefined): void => {
    vote.read(
      reading(votes =>
        mark.read(reading(marks => begin(finding, votes ?? nothing, marks ?? nothing))),
      ),
    )
  }
  marker.read(reading(text => readFiles(text === undefined ? undefined : parseMarker(text))))
}

interface OpeningParts {
  readonly disk: Disk
  readonly vote: Slots<Vote>
  readonly mark: Slots<Mark>
  /** From an earlier start, or from whoever found a fault while the server ran. */
  readonly finding: Finding | undefined
  readonly done: Got<LogStore>
  readonly report: Report
}

class Opening {
  readonly #parts: OpeningParts
  /** What was decided, until the marker is gone. */
  #finding: Finding | undefined
  /** Open, and not set aside. */
  #database: Database | undefined

  constructor(parts: OpeningParts) {
    this.#parts = parts
    this.#finding = parts.finding
  }

  run(): void {
    if (this.#finding === undefined) this.#open()
    else if (this.#finding.handOver === undefined) this.#decide(this.#finding.reason)
    else this.#handOver(this.#finding.reason, this.#finding.handOver)
  }

  /** Goes on with what a call gives; an error ends it all. */
  #next<T>(then: (value: T | undefined) => void): Got<T> {
    return (error, value) => (error === undefined ? then(value) : this.#parts.done(error))
  }

  /** As `#next`, but a damage leads to a new beginning. */
  #sound<T>(then: (value: T | undefined) => void): Got<T> {
    return (error, value) => {
      if (error?.code === 'RAFT_DAMAGED') this.#decide(error.detail ?? error.message)
      else this.#next(then)(error, value)
    }
  }

  #open(): void {
    if (this.#database !== undefined) {
      this.#read(this.#database)
      return
    }
    this.#parts.disk.open(
      this.#next(opened => {
        const { database, evidence = [] } = opened ?? {}
        const [first] = evidence
        this.#database = database
        if (database !== undefined && first === undefined) this.#read(database)
        else this.#decide(first ?? 'the database cannot be opened')
      }),
    )
  }

  #read(database: Database): void {
    readStore(
      database,
      this.#sound(store => this.#judge(database, store)),
    )
  }

  #judge(database: Database, store: Store | undefined): void {
    const { vote, mark, report } = this.#parts
    const { reason = '', handOver } = this.#finding ?? {}
    if (store === undefined && handOver !== undefined) {
      const { aside: _aside, trust, ...rest } = handOver
      this.#beginAnew(database, { ...emptyTail, ...rest, trust: { kind: trust }, damage: reason })
      return
    }
    const verdict = judge(store, vote, mark)
    if (verdict.kind === 'damaged') {
      this.#decide(verdict.reason, { voteKnown: verdict.voteKnown, empty: store === undefined })
    } else if (verdict.kind === 'vote-lost') {
      const tail = store?.tail ?? emptyTail
      const damage = 'The vote file is missing or broken.'
      report('raft-damaged', damage)
      const trust = { kind: 'unknown' } as const
      this.#beginAnew(database, { ...tail, ...verdict.vote, seq: tail.seq + 1, trust, damage })
    } else if (verdict.mend && verdict.vote !== undefined) {
      report('raft-vote-mended', 'The vote file was broken or missing; the database has the vote.')
      vote.rewrite(
        verdict.vote,
        this.#next(() => this.#read(database)),
      )
    } else if (store !== undefined && isAhead(verdict.vote, store.tail)) {
      // The crash came before the batch. Whoever asks again is answered at once by what stands here, so it must
      // stand in both places first: or a vote file that goes back by one write would take a promise with it.
      const tail = { ...store.tail, ...verdict.vote, seq: store.tail.seq + 1 }
      database.batch(
        [{ type: 'put', key: tailKey, value: sealTail(tail) }],
        synced,
        this.#next(() => this.#read(database)),
      )
    } else this.#tidy(database, store, verdict.vote)
  }

  /** Says in the database first that the server has no voice, and then in both slots how it voted. */
  #beginAnew(database: Database, tail: Tail): void {
    const { currentTerm, votedFor } = tail
    database.batch(
      [{ type: 'put', key: tailKey, value: sealTail(tail) }],
      synced,
      this.#next(() => {
        this.#parts.vote.rewrite(
          { currentTerm, votedFor },
          this.#next(() => this.#read(database)),
        )
      }),
    )
  }

  /** What becomes of a damage. Of an empty database there is nothing to keep. */
  #decide(what: string, { voteKnown = isVoteKnown(this.#parts.vote), empty = false } = {}): void {
    const { disk, vote, mark } = this.#parts
    const reason = sentence(what)
    disk.listAside(
      this.#next((kept = []) => {
        const handOver: HandOver = {
          aside: empty ? 0 : Math.max(0, ...kept) + 1,
          trust: voteKnown ? 'relearning' : 'unknown',
          currentTerm: vote.last?.currentTerm ?? 0,
          votedFor: vote.last?.votedFor,
          seq: (mark.last?.seq ?? 0) + 1,
        }
        this.#finding = { reason, handOver }
        disk.marker.write(
          markerText(this.#finding),
          this.#next(() => this.#handOver(reason, handOver)),
        )
      }),
    )
  }

  #handOver(reason: string, { aside }: HandOver): void {
    const { disk, done, report } = this.#parts
    disk.listAside(
      this.#next((kept = []) => {
        const isMoved = aside === 0 || kept.includes(aside)
        if (!isMoved && kept.length >= maxAside) {
          const text = `${reason} ${kept.length} damaged databases are kept already: check the disk, move them elsewhere, and start again.`
          done(new RaftError('RAFT_DAMAGED', text))
          return
        }
        report('raft-damaged', reason)
        if (isMoved) this.#open()
        else {
          this.#database = undefined
          disk.setAside(
            aside,
            this.#next(() => this.#open()),
          )
        }
      }),
    )
  }

  /** Deletes chunks that belong neither to the published snapshot nor to the one that is being received. */
  #tidy(database: Database, store: Store | undefined, newestVote: Vote | undefined): void {
    const snapshot = store?.snapshot
    const clean = (chunks: Map<string, number>, partial: PersistedState['partial']): void => {
      const garbage: Operation[] = []
      for (const [id, last] of chunks) {
        if (id === snapshot?.id) continue
        const kept = id === partial?.snapshot.id ? partial.stored : 0
        for (let chunk = kept; chunk <= last; chunk++) {
          garbage.push({ type: 'del', key: chunkKey(id, chunk) })
        }
        if (kept === 0) chunks.delete(id)
        else chunks.set(id, kept - 1)
      }
      const check = (): void => {
        const finish = (): void => this.#finish({ database, store, newestVote, chunks, partial })
        if (snapshot === undefined) finish()
        else checkChunks(database, snapshot, this.#sound(finish))
      }
      if (garbage.length === 0) check()
      else {
        if (partial === undefined) garbage.push({ type: 'del', key: partialKey })
        database.batch(garbage, synced, this.#next(check))
      }
    }
    readChunkOwners(
      database,
      this.#sound((chunks = new Map<string, number>()) => {
        readPartial(
          database,
          snapshot,
          this.#sound(partial => clean(chunks, partial)),
        )
      }),
    )
  }

  #finish(found: Omit<LogStoreParts, 'disk' | 'vote' | 'mark'>): void {
    const { disk, vote, mark, done } = this.#parts
    const opened = (): void => done(undefined, new LogStore({ disk, vote, mark, ...found }))
    const aside = this.#finding?.handOver?.aside
    if (aside === undefined) opened()
    else disk.marker.remove(aside, this.#next(opened))
  }
}

function isAhead(vote: Vote | undefined, { currentTerm, votedFor }: Tail): boolean {
  if (vote === undefined) return false
  return vote.currentTerm !== currentTerm || vote.votedFor !== votedFor
}
