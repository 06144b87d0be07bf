/**
 * PostgreSQL: a checkout as one transaction in one prepared statement, which takes an allocation and writes the seat.
 * A connection has one under way, so a process has several connections.
 */
import { workerNumber, type Driver, type DriverOrder } from '../contender.ts'
import { PostgresConnection } from './postgres-wire.ts'

export const tables = `
create table feature (name text primary key, allocations int not null, in_use int not null);
create table seat (id bigint generated always as identity primary key, feature text not null,
  holder text not null, granted timestamptz not null default now());`

const checkout = `
with taken as (
  update feature set in_use = in_use + 1 where name = $1 and in_use < allocations returning name
)
insert into seat (feature, holder) select name, $2 from taken returning id`

/** More at once help no server of few cores. */
const connectionsMax = 32

interface Waiting {
  readonly bound: Buffer
  readonly done: (failure?: string) => void
}

export async function open(order: DriverOrder): Promise<Driver> {
  const url = order.address.urls[0] ?? ''
  const count = Math.min(order.inFlight, connectionsMax)
  const connections = await Promise.all(
    Array.from({ length: count }, () => PostgresConnection.connect(url)),
  )
  await Promise.all(connections.map(connection => connection.prepare('checkout', checkout)))
  const bounds = Array.from({ length: order.inFlight }, (_, worker) => {
    const feature = order.operation === 'one' ? 'one' : `f${workerNumber(order, worker)}`
    return PostgresConnection.bound('checkout', [feature, 'bench'])
  })
  const free = [...connections]
  const line: Waiting[] = []
  const work = (connection: PostgresConnection, { bound, done }: Waiting): void => {
    connection.run(bound, (failure, rows) => {
      const next = line.shift()
      if (next === undefined) free.push(connection)
      else work(connection, next)
      done(failure ?? (rows === 1 ? undefined : 'none left'))
    })
  }
  return {
    run(worker, done) {
      const waiting = { bound: bounds[worker] ?? Buffer.alloc(0), done }
      const connection = free.pop()
      if (connection === undefined) line.push(waiting)
      else work(connection, waiting)
    },
    async close() {
      for (const connection of connections) connection.close()
    },
  }
}
