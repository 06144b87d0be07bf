/**
 * licd for programs: the client of a pool of license servers.
 *
 * This list is kept by hand: what stands here is public and keeps its meaning; nothing else is.
 *
 * @example
 * ```ts
 * import { connect } from 'licd'
 *
 * await using client = await connect()
 * await using seat = await client.acquire('cad', { timeout: 30_000 })
 * ```
 */
export {
  Client,
  connect,
  type AcquireOptions,
  type ClientEvents,
  type ConnectOptions,
} from './client/client.ts'
export { Seat, type LicenseEnd, type SeatEvents } from './client/seat.ts'
export { codes, isCode, LicdError, type Code } from './error.ts'
export type { NatsSource } from './nats-context.ts'
