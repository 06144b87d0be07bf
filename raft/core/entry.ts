/**
 * One entry of the log (paper, 5.3), and what it costs.
 *
 * Commands are opaque bytes: nothing in `raft/` looks into them. The bytes must not change after they were handed in.
 */
import type { Configuration } from './configuration.ts'

/** `index` starts at 1, `term` too; both stay below {@link numberLimit}. */
export type Entry = NoopEntry | CommandEntry | ConfigurationEntry

/** What a new leader appends, so that it can commit what came before it (5.4.2, 8). */
export interface NoopEntry {
  readonly kind: 'noop'
  readonly index: number
  readonly term: number
}

export interface CommandEntry {
  readonly kind: 'command'
  readonly index: number
  readonly term: number
  readonly data: Uint8Array
}

/** In force from the moment it is appended, and no longer once it is truncated (6; thesis 4.1). */
export interface ConfigurationEntry {
  readonly kind: 'configuration'
  readonly index: number
  readonly term: number
  readonly configuration: Configuration
}

/** Terms, indices, rounds and chunk numbers lie below this; a message that says otherwise is dropped. */
export const numberLimit = 2 ** 48

/** What the fields around the data cost in memory and on the wire, so that empty commands are bounded too. */
const overhead = 32

/** Bytes that an entry counts for in every limit of the settings. */
export function sizeOf(entry: Entry): number {
  switch (entry.kind) {
    case 'noop':
      return overhead
    case 'command':
      return overhead + entry.data.byteLength
    case 'configuration': {
      const { voters, outgoing, learners } = entry.configuration
      let size = overhead
      for (const ids of [voters, outgoing, learners]) for (const id of ids) size += id.length + 2
      return size
    }
  }
}
