/**
 * The configurations that the log holds, in force from the moment they are appended (paper, 6).
 *
 * A truncation takes configurations back, a compaction keeps the one in force at its index. Without this stack a
 * server would go on counting by a configuration that never was (canonical/raft#323).
 */
import assert from 'node:assert/strict'
import { type Configuration, emptyConfiguration } from './configuration.ts'
import type { Entry } from './entry.ts'

interface Mark {
  readonly index: number
  readonly configuration: Configuration
}

export class ConfigurationHistory {
  /** Never empty; ascending. */
  private marks: [Mark, ...Mark[]] = [{ index: 0, configuration: emptyConfiguration }]

  /** In force now, committed or not. */
  get latest(): Configuration {
    return this.last.configuration
  }

  get latestIndex(): number {
    return this.last.index
  }

  private get last(): Mark {
    return this.marks[this.marks.length - 1] ?? this.marks[0]
  }

  /** In force at `index`, which must not be compacted away. */
  at(index: number): Configuration {
    assert(index >= this.marks[0].index)
    return (this.marks.findLast(mark => mark.index <= index) ?? this.marks[0]).configuration
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== 'configuration') continue
      assert(entry.index > this.last.index)
      this.marks.push({ index: entry.index, configuration: entry.configuration })
    }
  }

  truncateFrom(index: number): void {
    assert(index > this.marks[0].index, 'the oldest configuration is committed')
    const [first, ...rest] = this.marks
    this.marks = [first, ...rest.filter(mark => mark.index < index)]
  }

  compactTo(index: number): void {
    if (index <= this.marks[0].index) return
    const rest = this.marks.filter(mark => mark.index > index)
    this.marks = [{ index, configuration: this.at(index) }, ...rest]
  }

  /** What was known is replaced by a snapshot's; later marks stay unless the log behind them went. */
  restore(index: number, configuration: Configuration, keepSuffix: boolean): void {
    const rest = keepSuffix ? this.marks.filter(mark => mark.index > index) : []
    this.marks = [{ index, configuration }, ...rest]
  }
}
