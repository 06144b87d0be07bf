/** The drivers by name; each is loaded only in the processes that use it. */
import type { Driver, DriverOrder } from '../contender.ts'

export async function openDriver(order: DriverOrder): Promise<Driver> {
  switch (order.driver) {
    case 'licd':
      return (await import('./licd.ts')).open(order)
    case 'echo':
      return (await import('./echo.ts')).open(order)
    case 'etcd':
      return (await import('./etcd.ts')).open(order)
    case 'kv':
      return (await import('./kv.ts')).open(order)
    case 'postgres':
      return (await import('./postgres.ts')).open(order)
    case 'redis':
      return (await import('./redis.ts')).open(order)
    case 'ledger':
      return (await import('./ledger.ts')).open(order)
    case 'floor':
      return (await import('./floor.ts')).open(order)
  }
}
