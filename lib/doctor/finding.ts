/** What `licd doctor` finds: one line a check, and what to type where something is wrong. */
import type { LicdError } from '../error.ts'

/** The checks, in the order in which they are told. */
export const checks = [
  'configuration',
  'data folder',
  'key files',
  'disk',
  'disk sync',
  'log',
  'node',
  'clock',
  'ports',
  'nats-server',
  'certificates',
  'nats',
  'permissions',
  'peers',
  'clocks',
  'versions',
  'clients',
  'account',
] as const
export type Check = (typeof checks)[number]

export interface Finding {
  readonly check: Check
  /** `warning`: it runs, and will not go on well. `failure`: the server would not start, or not serve. */
  readonly state: 'ok' | 'warning' | 'failure'
  readonly says: string
  /** What to type or to do; of all that is not ok. */
  readonly toDo?: string
}

export function ok(check: Check, says: string): Finding {
  return { check, state: 'ok', says }
}

export function warning(check: Check, says: string, toDo: string): Finding {
  return { check, state: 'warning', says, toDo }
}

export function failure(check: Check, says: string, toDo: string): Finding {
  return { check, state: 'failure', says, toDo }
}

/** An error that the server itself would end with says what to do by itself. */
export function failed(check: Check, error: LicdError, toDo?: string): Finding {
  const [first = error.message, ...rest] = error.message.split(/(?<=\.) /)
  return failure(check, `${error.code}: ${first}`, toDo ?? (rest.join(' ') || error.message))
}

/** What to type about a secret that others may read. */
export function chmodIn({ message }: LicdError): string | undefined {
  return /type: (chmod \d+ \S+)\./.exec(message)?.[1]
}
