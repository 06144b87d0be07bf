/**
 * Floods in full: `npm run hostile`. Prints a line of a table for each. Of a pool whose servers are all flooded, or that has
 * one alone, the other client cannot go elsewhere.
 */
import { readCommandLine, readNames, readNumber } from '../command-line.ts'
import { ProcessPool } from '../pool-processes.ts'
import { asLine, flood, floods } from './floods.ts'
import { memoryBound } from './bound.ts'

const usage = `npm run hostile -- [options]
  --messages N    of a flood (1000000)
  --seconds S     instead, how long a flood lasts
  --flood NAME    one kind (all)
  --flooders N    processes that flood (1)
  --servers A,B   of the pool (alpha)
  --at A,B        those that are flooded (alpha)`
const { values } = readCommandLine(usage, {
  messages: { type: 'string' },
  seconds: { type: 'string' },
  flood: { type: 'string' },
  flooders: { type: 'string' },
  at: { type: 'string', default: 'alpha' },
  servers: { type: 'string', default: 'alpha' },
})
const most = readNumber(usage, values.messages, 1_000_000)
const seconds = values.seconds === undefined ? undefined : readNumber(usage, values.seconds, 1)
const flooders = readNumber(usage, values.flooders, 1)
const chosen = readNames(
  usage,
  values.flood === undefined ? [] : [values.flood],
  Object.keys(floods),
)
const servers = values.servers.split(',')
const flooded = readNames(usage, values.at.split(','), servers)
const times = { tickMs: 1_000, leaseTicks: 300, seatTicks: 300 }
await using pool = await ProcessPool.start({ servers, ...times })
await pool.ctl(['feature', 'add', 'cad', '50', '--local'])
await pool.ctl(['feature', 'add', 'full', '1', '--local'])
process.stdout.write(
  '| flood | messages | seconds | answers | the other client: times, p50, p99, slowest | MiB before, most | elections, leases and links lost |\n| --- | --- | --- | --- | --- | --- | --- |\n',
)
for (const name of chosen) {
  // 10^5 clients are what one connection can play; the others are as many messages as asked for.
  const messages = most / (name.includes('clients') ? 10 : 1)
  const extent = seconds === undefined ? { messages } : { seconds }
  const row = await flood(pool, name, {
    extent,
    servers: flooded,
    flooders,
  })
  process.stdout.write(`${asLine(row)}\n`)
  if (row.most > memoryBound) process.exitCode = 1
}
