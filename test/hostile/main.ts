/**
 * Floods in full: `npm run hostile -- [--messages 1000000 | --seconds 20] [--flood NAME] [--servers alpha,beta,gamma]
 * [--at alpha] [--flooders 1]`. Prints a line of a table for each. `--at` says which servers are flooded; of a pool whose servers all are,
 * or that has one alone, the other client cannot go elsewhere.
 */
import { parseArgs } from 'node:util'
import { ProcessPool } from '../pool-processes.ts'
import { asLine, flood, floods } from './floods.ts'
import { memoryBound } from './bound.ts'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    seconds: { type: 'string' },
    flood: { type: 'string' },
    flooders: { type: 'string', default: '1' },
    at: { type: 'string', default: 'alpha' },
    servers: { type: 'string', default: 'alpha' },
  },
})
const times = { tickMs: 1_000, leaseTicks: 300, seatTicks: 300 }
await using pool = await ProcessPool.start({ servers: values.servers.split(','), ...times })
await pool.ctl(['feature', 'add', 'cad', '50', '--local'])
await pool.ctl(['feature', 'add', 'full', '1', '--local'])
const chosen = Object.keys(floods).filter(
  name => values.flood === undefined || name === values.flood,
)
process.stdout.write(
  '| flood | messages | seconds | answers | the other client | MiB before, most | elections, leases and links lost |\n| --- | --- | --- | --- | --- | --- | --- |\n',
)
for (const name of chosen) {
  // 10^5 clients are what one connection can play; the others are as many messages as asked for.
  const messages = Number(values.messages) / (name.includes('clients') ? 10 : 1)
  const extent = values.seconds === undefined ? { messages } : { seconds: Number(values.seconds) }
  const row = await flood(pool, name, {
    extent,
    servers: values.at.split(','),
    flooders: Number(values.flooders),
  })
  process.stdout.write(`${asLine(row)}\n`)
  if (row.most > memoryBound) process.exitCode = 1
}
