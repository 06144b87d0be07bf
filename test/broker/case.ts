/**
 * What a case of the conformance suite is given, and what the cases share.
 */
import type { Msg, NatsConnection } from 'nats'
import type { Test } from 'tap'
import type { RawClient } from './raw-client.ts'

export interface Running {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

export interface Context {
  readonly broker: Running
  /** Starts a broker of the same kind on this port. */
  readonly start: (port: number) => Promise<Running>
  /** Another connection, closed at the end of the test. */
  readonly open: (options?: { readonly noEcho?: boolean }) => Promise<NatsConnection>
  readonly raw: (options?: Record<string, unknown>) => Promise<RawClient>
}

/** Title -> check. The same check runs against every broker. */
export type Cases = Map<string, (t: Test, context: Context) => Promise<void>>

/** Resolves with the messages when `count` have come; `handle` sees each at once. */
export function take(
  nc: NatsConnection,
  subject: string,
  count: number,
  options: { readonly queue?: string } = {},
): { readonly messages: Promise<Msg[]>; readonly seen: Msg[] } {
  const seen: Msg[] = []
  const messages = new Promise<Msg[]>((resolve, reject) => {
    nc.subscribe(subject, {
      ...options,
      callback: (error, message) => {
        if (error !== null) reject(error)
        seen.push(message)
        if (seen.length === count) resolve(seen)
      },
    })
  })
  return { messages, seen }
}

/** Returns when the broker has handled all that was sent, and all of it that comes back here has come. */
export async function settle(...connections: readonly NatsConnection[]): Promise<void> {
  for (const nc of connections) await nc.flush()
}
