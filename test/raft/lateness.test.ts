/** Figures of how late beats come: bounded, of the last minutes, and at most a quarter too high. */
import t from 'tap'
import { Lateness } from '../../raft/lateness.ts'

t.test('percentiles of what was noted', async t => {
  const lateness = new Lateness(0)
  t.match(lateness.figures(), { beats: 0, p50Ms: 0, p99Ms: 0, maxMs: 0, longestMs: 0 })
  for (let n = 1; n <= 1000; n++) lateness.note(n / 10, n)
  const { beats, p50Ms, p99Ms, maxMs } = lateness.figures()
  t.equal(beats, 1000)
  t.ok(p50Ms >= 50 && p50Ms <= 62.5, String(p50Ms))
  t.ok(p99Ms >= 99 && p99Ms <= 100, String(p99Ms))
  t.equal(maxMs, 100)
})

t.test('what is long past is forgotten, but for the longest', async t => {
  const lateness = new Lateness(0, 1000)
  lateness.note(500, 10)
  lateness.note(1, 1500)
  t.match(lateness.figures(), { beats: 2, maxMs: 500 })
  lateness.note(1, 2600)
  t.match(lateness.figures(), { beats: 2, maxMs: 1, p50Ms: 1, longestMs: 500 })
  lateness.note(1e9, 2700)
  t.equal(lateness.figures().maxMs, 1e9)
})
