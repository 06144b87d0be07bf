/** What the eyes on a server look at: the running server, read only. */
import type { LicenseServer } from '../server/server.ts'

export type Watched = Pick<
  LicenseServer,
  | 'bus'
  | 'clientBus'
  | 'clock'
  | 'incarnation'
  | 'isLeader'
  | 'leader'
  | 'leaseUntil'
  | 'ledger'
  | 'log'
  | 'peers'
  | 'pool'
  | 'raft'
  | 'random'
  | 'server'
  | 'service'
  | 'stopping'
  | 'tickAppliedAt'
  | 'viewer'
>
