import t from 'tap'
import fc from 'fast-check'
import { configurationOf, emptyConfiguration } from '../../../raft/core/configuration.ts'
import type { Entry } from '../../../raft/core/entry.ts'
import { sizeOf } from '../../../raft/core/entry.ts'
import { ProposalFate } from '../../../raft/fate.ts'
import type { Persist } from '../../../raft/core/effect.ts'
import { ConfigurationHistory } from '../../../raft/core/history.ts'
import { Log } from '../../../raft/core/log.ts'
import { Progress } from '../../../raft/core/progress.ts'
import { command } from './cluster.ts'

function logOf(...terms: number[]): Log {
  return new Log(
    0,
    0,
    terms.map((term, n) => command(n + 1, term)),
  )
}

t.test('a log has no gaps and no falling terms', async t => {
  t.throws(() => logOf(1, 2).append([command(4, 2)]))
  t.throws(() => logOf(1, 2).append([command(3, 1)]))
})

t.test('terms and entries inside and outside of what is held', async t => {
  const log = logOf(1, 1, 2, 3)
  log.compactTo(2)
  t.same(
    [0, 1, 2, 3, 4, 5].map(index => log.termAt(index)),
    [undefined, undefined, 1, 2, 3, undefined],
  )
  t.equal(log.entryAt(2), undefined)
  t.same([log.baseIndex, log.lastIndex, log.lastTerm], [2, 4, 3])
  log.truncateFrom(3)
  t.same([log.lastIndex, log.lastTerm], [2, 1])
  log.reset(9, 4)
  t.same([log.baseIndex, log.lastIndex, log.lastTerm], [9, 9, 4])
})

t.test('a slice keeps both limits, but has at least one entry', async t => {
  const log = logOf(1, 1, 1, 1)
  const size = sizeOf(command(1, 1))
  t.equal(log.slice(1, 2, 1e9).length, 2)
  t.equal(log.slice(2, 9, 2 * size).length, 2)
  t.equal(log.slice(4, 9, 1).length, 1)
  t.equal(log.slice(5, 9, 1e9).length, 0)
})

t.test('5.4.1: up-to-date is the later term, then the longer log', async t => {
  const log = logOf(1, 2)
  t.ok(log.isUpToDate(2, 2))
  t.ok(log.isUpToDate(1, 3))
  t.notOk(log.isUpToDate(9, 1))
  t.notOk(log.isUpToDate(1, 2))
})

t.test('byte counts never drift, whatever is appended, truncated and compacted', async t => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), size: fc.nat(40) }),
    fc.record({ kind: fc.constantFrom('truncate' as const, 'compact' as const), size: fc.nat(5) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const log = new Log(0, 0)
      let model: Entry[] = []
      for (const { kind, size } of steps) {
        if (kind === 'append') {
          const entry = command(log.lastIndex + 1, 1, 'x'.repeat(size))
          log.append([entry])
          model.push(entry)
        } else if (kind === 'truncate') {
          const index = Math.max(log.baseIndex + 1, log.lastIndex - size)
          if (index > log.lastIndex) continue
          log.truncateFrom(index)
          model = model.filter(entry => entry.index < index)
        } else {
          const index = Math.min(log.lastIndex, log.baseIndex + size)
          log.compactTo(index)
          model = model.filter(entry => entry.index > index)
        }
        const middle = log.baseIndex + Math.floor(model.length / 2)
        const sum = (entries: Entry[]) => entries.reduce((total, entry) => total + sizeOf(entry), 0)
        t.equal(log.bytesBetween(0, log.lastIndex), sum(model))
        t.equal(log.bytesBetween(middle, 1e9), sum(model.filter(({ index }) => index > middle)))
      }
    }),
    { numRuns: 50, seed: 1 },
  )
})

t.test('a hint is the last index with at most that term, as a plain search finds it', async () => {
  const terms = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 20 })
  fc.assert(
    fc.property(terms, fc.nat(7), fc.nat(25), (unsorted, term, index) => {
      const sorted = [...unsorted].sort((a, b) => a - b)
      const log = logOf(...sorted)
      let expected = Math.min(index, log.lastIndex)
      while (expected > 0 && (log.termAt(expected) ?? 0) > term) expected -= 1
      return log.lastWithTermAtMost(term, index) === expected
    }),
    { numRuns: 300, seed: 1 },
  )
})

t.test('6: configurations come with entries, and go with them', async t => {
  const history = new ConfigurationHistory()
  const at = (index: number, ...voters: string[]): Entry => ({
    kind: 'configuration',
    index,
    term: 1,
    configuration: configurationOf(voters),
  })
  t.same(history.latest, emptyConfiguration)
  history.append([at(1, 'a'), command(2, 1), at(3, 'a', 'b'), at(6, 'b')])
  t.same([history.latestIndex, history.at(2).voters, history.at(5).voters], [6, ['a'], ['a', 'b']])
  history.truncateFrom(6)
  t.same(history.latest.voters, ['a', 'b'])
  history.compactTo(2)
  t.same([history.at(2).voters, history.latestIndex], [['a'], 3])
  t.throws(() => history.at(1))
  t.throws(() => history.truncateFrom(2))
  history.restore(9, configurationOf(['c']), false)
  t.same([history.latestIndex, history.latest.voters], [9, ['c']])
})

t.test(
  'Figure 8: a truncated proposal may come back; its fate is open until something is committed',
  async t => {
    const fate = new ProposalFate()
    const persisted = (truncateFrom: number): Persist => {
      return { seq: 1, currentTerm: 3, votedFor: undefined, truncateFrom, entries: [] }
    }
    const taken = (term: number, ...pairs: readonly (readonly [number, number])[]) =>
      pairs.map(([id, index]) => ({ id, index, term, outcome: 'accepted' as const }))
    const none = { proposals: [], apply: [] }
    t.same(fate.after({ ...none, proposals: taken(2, [1, 5], [2, 6], [3, 7]) }), [])
    t.same(fate.after({ ...none, persist: persisted(6) }), [])
    t.same(fate.after({ ...none, apply: [command(5, 2)] }), [], 'the first is committed')
    t.same(
      fate.after({ ...none, apply: [command(6, 2), command(7, 3)] }),
      [{ id: 3, outcome: 'lost' }],
      'the second came back',
    )
    t.same(fate.after({ ...none, proposals: taken(3, [4, 8], [5, 9]) }), [])
    const configuration = configurationOf(['a'])
    const meta = { id: 's', lastIncludedTerm: 3, configuration, bytes: 0, chunks: 1 }
    const restore = { ...meta, lastIncludedIndex: 8 }
    t.same(
      fate.after({ ...none, restore }),
      [{ id: 4, outcome: 'unknown' }],
      'whether or not it was committed: it was not handed out',
    )
  },
)

t.test('progress: acknowledgements only raise, a probe starts from what is known', async t => {
  const progress = new Progress('b', 10, 0)
  progress.matched(4)
  t.same([progress.matchIndex, progress.nextIndex, progress.mode.kind], [4, 5, 'replicate'])
  progress.nextIndex = 9
  progress.matched(2)
  t.same([progress.matchIndex, progress.nextIndex], [4, 9], 'an old one takes nothing back')
  progress.probe(1)
  t.equal(progress.nextIndex, 5)
})
