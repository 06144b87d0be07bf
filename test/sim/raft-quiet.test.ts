/** A day on which nothing happens, at the settings that a pool has by default. `QUIET_HOURS` makes it another. */
import t from 'tap'
import { quietDay } from './raft-quiet.ts'

const hours = Number(process.env.QUIET_HOURS ?? 24)

// A bound for a loaded machine; a tenth of it is usual.
t.setTimeout(300_000)

// Five servers have twice as much to say: a quarter of it, in the same time.
for (const [size, length] of [
  [3, hours],
  [5, hours / 4],
] as const) {
  t.test(`${size} servers, ${length} hours: the first leader stays`, t => {
    const { elections, commits, messages } = quietDay(size, size, length)
    t.comment(`${commits} commits, ${messages} messages`)
    t.equal(elections, 0)
    t.ok(commits > length * 3500, 'a command every second is committed')
    t.end()
  })
}
