/** What a server knows of itself, apart from its features: its lease, its place in Raft, what it was asked. */
import type { Sheet } from './sheet.ts'
import type { Watched } from './watched.ts'

const roles = ['leader', 'follower', 'candidate', 'learner'] as const

export function readServerFigures(sheet: Sheet, watched: Watched, version: string): void {
  const { clock, leaseUntil, tickAppliedAt, ledger, service, isLeader, bus, clientBus } = watched
  const { gauge, count } = sheet
  const now = clock.now()
  const leaseMs = Math.max(0, leaseUntil - now)
  gauge('licd_server_info', 'Always 1; the labels say what runs.', 1, { version })
  gauge(
    'licd_serving',
    '1 while the server may grant and renew: it has a lease.',
    flag(leaseMs > 0),
  )
  gauge('licd_leader', '1 at the leader server.', flag(isLeader))
  gauge('licd_lease_remaining_seconds', 'How long the server may still grant.', leaseMs / 1_000)
  gauge('licd_incarnation', 'Number of this run of the server.', watched.incarnation)
  gauge('licd_tick', 'The last tick of the pool clock applied here.', ledger.state.tick)
  if (tickAppliedAt > 0) {
    const ageMs = now - tickAppliedAt
    gauge('licd_tick_age_seconds', 'Since a tick was last applied here.', ageMs / 1_000)
  }
  gauge('licd_nats_connected', '1 while the link to NATS is up.', flag(bus.connected))
  const help = '1 while the link to NATS for what clients send is up.'
  gauge('licd_nats_client_link_connected', help, flag(clientBus.connected))
  const { counts } = service.report
  for (const [operation, messages] of Object.entries(counts.messages)) {
    const help = 'Messages of clients, each with one request or many.'
    count('licd_messages_total', help, messages, { operation })
  }
  const beyond = 'Messages dropped: as many of their client waited as may.'
  count('licd_crowded_out_messages_total', beyond, counts.crowdedOut)
  count('licd_malformed_messages_total', 'Messages that could not be read.', counts.malformed)
  readRaft(sheet, watched)
  readHealth(sheet, watched)
}

function readRaft({ gauge, count }: Sheet, { raft, peers }: Watched): void {
  if (raft === undefined) return
  for (const role of roles) {
    const help = '1 at the role that the server has in Raft.'
    gauge('licd_raft_role', help, flag(raft.role === role), { role })
  }
  gauge('licd_raft_term', 'Current term.', raft.term)
  gauge('licd_raft_commit_index', 'Last log entry known to be committed.', raft.commitIndex)
  gauge('licd_raft_applied_index', 'Last log entry applied here.', raft.lastApplied)
  gauge('licd_raft_last_index', 'Last log entry here.', raft.lastIndex)
  gauge('licd_raft_snapshot_index', 'Last log entry in the newest snapshot.', raft.snapshotIndex)
  gauge(
    'licd_raft_quorate',
    'Leader: 1 while a quorum answers; others: while the leader is heard.',
    flag(raft.quorate),
  )
  gauge(
    'licd_raft_trusted',
    '1 unless the disk lost something and the server has yet to be taught again.',
    flag(raft.trust === 'full'),
  )
  gauge(
    'licd_raft_differing_servers',
    'Servers whose ledger differs from the one here. Should be 0; a defect else.',
    raft.differing.length,
  )
  for (const [reason, dropped] of Object.entries(raft.dropped)) {
    const help = 'Messages of Raft that were not passed on.'
    count('licd_raft_dropped_messages_total', help, dropped, { reason })
  }
  for (const { id, lag } of peers) {
    gauge('licd_raft_peer_lag_entries', 'Leader: entries that a member lacks.', lag, { peer: id })
  }
}

/** Heartbeats of the last one to two minutes. */
function readHealth({ gauge }: Sheet, watched: Watched): void {
  const { health } = watched.viewer()
  if (health === undefined) return
  const late = 'How late heartbeats left in the last one to two minutes'
  gauge('licd_heartbeat_late_median_seconds', `${late}: half of them.`, health.lateP50Ms / 1_000)
  gauge('licd_heartbeat_late_p99_seconds', `${late}: 99 %.`, health.lateP99Ms / 1_000)
  gauge('licd_heartbeat_late_max_seconds', `${late}: the latest.`, health.lateMaxMs / 1_000)
  gauge(
    'licd_longest_stall_seconds',
    'The longest that the process stood still since it started.',
    health.longestStallMs / 1_000,
  )
}

function flag(is: boolean): number {
  return is ? 1 : 0
}
