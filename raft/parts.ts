/**
 * What a running node is made of, wired to the driver that runs it.
 *
 * Made once the disk was read and the state machine restored: from then on every part exists, and the driver need
 * not ask which does.
 */
import assert from 'node:assert/strict'
import { Applier } from './applier.ts'
import { membersOf } from './core/configuration.ts'
import type { Entry } from './core/entry.ts'
import type { Input, PersistedState } from './core/input.ts'
import type { Log } from './core/log.ts'
import { Raft } from './core/raft.ts'
import { Digests, type Disagreement } from './digest.ts'
import { SpaceWatch } from './disk-space.ts'
import type { RaftError } from './error.ts'
import { Lateness } from './lateness.ts'
import { Link } from './link.ts'
import { Metronome } from './metronome.ts'
import type { NodeOptions } from './node.ts'
import { Snapshots } from './snapshots.ts'
import { Writer } from './writer.ts'

export interface Parts {
  readonly raft: Raft
  readonly link: Link
  readonly writer: Writer
  readonly applier: Applier
  readonly snapshots: Snapshots
  readonly digests: Digests
  readonly lateness: Lateness
  readonly metronome: Metronome
}

/** Where the parts report to. */
export interface Reports {
  readonly onInput: (input: Input) => void
  /** It leads, and its disk is almost full. */
  readonly onLow: () => void
  readonly onPersisted: (seq: number) => void
  readonly onApplied: (index: number, entries: readonly Entry[]) => void
  readonly onGone: (peer: string) => void
  readonly onBeat: (ms: number, stalledMs: number | undefined) => void
  readonly onError: (error: RaftError) => void
  /** The own state machine is wrong, or another server's seems to be. */
  readonly onWrong: (at: Disagreement) => void
  readonly onDiffers: (at: Disagreement) => void
}

/** `state` is what the disk holds: the state machine has its snapshot already, `held` is made of its entries. */
export function assemble(
  options: NodeOptions,
  state: PersistedState,
  held: Log,
  reports: Reports,
): Parts {
  const { id, settings, storage, clock, random, machine, log, bus, cluster } = options
  const { onInput, onError } = reports
  const seed = Math.floor(random.next() * 2 ** 32)
  const raft = new Raft({ id, settings, persisted: state, seed, log: held })
  const applied = state.snapshot?.lastIncludedIndex ?? 0
  const { onPersisted } = reports
  const writer = new Writer({ storage, clock, onPersisted, onError, onSynced: options.onSynced })
  const digests = new Digests({
    ...{ id, onWrong: reports.onWrong, onDiffers: reports.onDiffers },
    configuration: () => raft.configuration,
    tell: digest => {
      for (const member of membersOf(raft.configuration)) {
        if (member !== id) link.sendDigest(member, digest)
      }
    },
  })
  const applier = new Applier(
    {
      ...{ machine, storage, clock, onApplied: reports.onApplied, onError },
      compareEveryEntries: options.compareEveryEntries ?? 256,
      onDigest: (index, hash) => digests.own(index, hash),
      onRestored: () => digests.restored(),
    },
    applied,
  )
  const link = new Link({
    ...{ id, cluster, bus, clock, random, log },
    genesis: options.genesis ?? '',
    goneEveryMs: settings.heartbeatMs / 2,
    onMessage: message => onInput({ type: 'message', message }),
    onDigest: digest => digests.heard(digest),
    onGone: reports.onGone,
  })
  const snapshots = new Snapshots({
    ...{ machine, storage, writer, clock, random, log, onError },
    chunkBytes: settings.snapshotChunkBytes,
    newest: state.snapshot,
    onSaved: snapshot => onInput({ type: 'snapshotSaved', snapshot }),
    onStored: (snapshotId, chunk) => onInput({ type: 'chunkStored', snapshotId, chunk }),
    onChunk: message => link.send(message),
  })
  const lateness = new Lateness(clock.now())
  const space = new SpaceWatch({
    ...{ storage, log, leads: () => raft.role === 'leader' },
    onLow: reports.onLow,
  })
  const metronome = new Metronome({
    clock,
    onLate: ms => lateness.note(ms, clock.now()),
    everyMs: settings.heartbeatMs / 2,
    stallMs: settings.electionTimeoutMs / 2,
    onBeat: (ms, stalledMs) => {
      reports.onBeat(ms, stalledMs)
      space.beat(ms)
    },
  })
  return { raft, link, writer, applier, snapshots, digests, lateness, metronome }
}

export function stopParts(
  { metronome, link, applier, snapshots, writer }: Parts,
  done: () => void,
): void {
  metronome.stop()
  link.close()
  applier.stop()
  snapshots.stop()
  writer.stop(done)
}

/** A state as small as this is written once more whatever the log's size. */
const smallBytes = 1024 * 1024

/**
 * Takes a snapshot when the log behind the last one has grown large enough: so large that writing the state once more
 * costs about as much as writing the log did, up to a bound on what a start has to read and memory to hold.
 */
export function takeDueSnapshot({ raft, applier, snapshots }: Parts, options: NodeOptions): void {
  const { snapshotEveryEntries = 10_000, snapshotEveryBytes = 8 * 1024 * 1024 } = options
  const index = raft.lastApplied
  // The machine must stand exactly where the core believes it stands.
  if (snapshots.taking || applier.applied !== index || index <= raft.snapshotIndex) return
  const { newestBytes } = snapshots
  const isMany = index - raft.snapshotIndex >= snapshotEveryEntries
  const fewest = newestBytes <= smallBytes ? 0 : Math.min(snapshotEveryBytes, newestBytes)
  if (raft.logBytes < (isMany ? fewest : Math.max(snapshotEveryBytes, newestBytes))) return
  const term = raft.termAt(index)
  assert(term !== undefined)
  snapshots.take({ index, term, configuration: raft.configurationAt(index) })
}
