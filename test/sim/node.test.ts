/**
 * Whole nodes under faults, the first seeds of `npm run sim`. A failure prints the line that replays it.
 *
 * `SIM_SEEDS=n` runs more of them.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { replayLine } from './node-options.ts'
import { runQuiet } from './node-quiet.ts'
import type { NodeServer } from './node-server.ts'
import { NodeFailure, NodeWorld, runNodes } from './node-world.ts'
import { addResult, emptyTotals, report } from './run-totals.ts'

const enough = 80
const seeds = Number(process.env.SIM_SEEDS ?? enough)

// A bound for a loaded machine; a quarter of it is usual.
t.setTimeout(280_000)

t.test('nodes under faults', t => {
  const totals = emptyTotals()
  const cpu = process.cpuUsage()
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      addResult(totals, runNodes({ seed }))
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error
      t.fail(`${error.message}\n  replay: ${replayLine({ seed })}`)
      break
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  totals.cpuSeconds = (user + system) / 1e6
  t.comment(report(totals))
  const { sums, kinds } = totals
  if (seeds >= enough) t.ok((sums.events ?? 0) >= 1e6, 'a million events')
  t.ok((sums.idle ?? 0) < 0.2 * (sums.events ?? 0), 'most events are work')
  t.ok((sums.commands ?? 0) > 100 * seeds, 'commands were acknowledged')
  t.ok((sums.elections ?? 0) > 3 * seeds, 'leaders changed')
  t.ok((sums.changes ?? 0) > seeds / 10, 'members changed')
  t.ok((sums.snapshots ?? 0) > 0 && (sums.truncations ?? 0) > 0, 'snapshots and truncations')
  t.ok((kinds.wipe ?? 0) > 0 && (kinds['flip-log'] ?? 0) > 0, 'disks were harmed')
  t.ok((sums.undecided ?? 0) <= seeds / 10, 'histories were decided')
  t.end()
})

t.test('a seed repeats its run', t => {
  t.same(runNodes({ seed: 7 }), runNodes({ seed: 7 }))
  t.end()
})

t.test('a bit that flips while a server starts is a damage that its next start may notice', t => {
  const world = new NodeWorld({ seed: 1, size: 3, only: [] }, { snapshotEveryEntries: 10_000 })
  const [server] = world.servers
  assert(server !== undefined)
  world.start()
  world.runTo(500)
  server.crash()
  server.boot()
  // All is read, and the core not yet told.
  t.ok(world.time.runUntil(() => server.running?.node !== undefined, 1_000))
  t.equal(server.raft, undefined)
  // Often enough to hit an entry, not only what is written anew.
  for (let n = 0; n < 10; n++) t.ok(server.damage('flip-table'))
  world.runTo(1_000)
  t.equal(server.watched.damaged, true)
  server.crash()
  server.boot()
  world.runTo(2_000)
  t.match(server.medium.aside, [1])
  t.equal(server.watched.damaged, false, 'it was taught everything again')
  t.end()
})

t.test(
  'a power cut takes the newest mark, but not from a disk with a harm that no start has seen',
  t => {
    const world = new NodeWorld({ seed: 1, size: 3, only: [] }, { snapshotEveryEntries: 10_000 })
    const [one, other] = world.servers
    assert(one !== undefined && other !== undefined)
    world.start()
    world.runTo(1_000)
    const markOf = ({ medium }: NodeServer) => medium.mark.bytes.toString('hex')
    // A write of the mark that was under way may have reached the disk: all is as it was left by the crash.
    one.crash()
    other.crash()
    const [before, otherBefore] = [markOf(one), markOf(other)]
    t.ok(one.damage('cut-tail'))
    one.losePower(true)
    other.losePower(true)
    t.equal(markOf(one), before)
    t.not(markOf(other), otherBefore)
    one.boot()
    other.boot()
    // It had no time to look.
    one.losePower(true)
    t.equal(markOf(one), before)
    one.boot()
    world.runTo(2_500)
    t.match(one.medium.aside, [1])
    t.equal(one.watched.damaged, false, 'it was taught everything again')
    t.end()
  },
)

t.test('without faults there is one election', t => {
  const { elections, commands, events } = runQuiet(1)
  t.equal(elections, 1)
  t.ok(commands > 20 && events > 25_000)
  t.end()
})
