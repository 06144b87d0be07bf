/** A write to the floor: a message there and back, by own reply mux. */
import { connect } from 'nats'
import type { Driver, DriverOrder } from '../contender.ts'
import { mux } from './echo.ts'

export const putSubject = 'bench.floor.put'

export async function open(order: DriverOrder): Promise<Driver> {
  const connection = await connect({ servers: [...order.address.urls], name: 'bench floor' })
  return mux(connection, putSubject)
}
