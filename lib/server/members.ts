/**
 * Who belongs to the pool, as this server knows it: what the ledger wants, what Raft's configuration says, and, at
 * the leader, how far each one has come.
 */
import {
  isVoter,
  membersOf,
  type Configuration,
  type NodeStatus,
  type Peer,
} from '../../raft/index.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { LedgerState, ServerRecord } from '../ledger/state.ts'
import type { CtlAnswers, Member } from '../protocol/ctl.ts'

export interface MembersView {
  readonly server: string
  readonly ledger: Ledger
  readonly leader: string | undefined
  readonly node: NodeStatus | undefined
  /** Empty but at the leader. */
  readonly peers: readonly Peer[]
}

export function membersAnswer(view: MembersView): CtlAnswers['servers'] {
  const { ledger, leader, node } = view
  const { state } = ledger
  const servers = rows(view)
  return {
    ...(leader === undefined ? {} : { leader }),
    term: node?.term ?? 0,
    commitIndex: node?.commitIndex ?? 0,
    tickMs: state.settings.tickMs,
    settled: servers.every(isSettled) && node?.configuration.outgoing.length === 0,
    heldTicks: Math.max(0, state.heldUntil - state.tick),
    servers,
  }
}

/** A server that is removed is settled once it has no part in decisions, though its share may be kept for a while. */
function isSettled({ role, member }: Member): boolean {
  return member === (role === 'removed' ? 'none' : role)
}

function rows({ server, ledger, leader, node, peers }: MembersView): Member[] {
  const { state } = ledger
  const configuration = node?.configuration
  const inRaft = configuration === undefined ? [] : membersOf(configuration)
  const names = [...new Set([...state.servers.keys(), ...inRaft])].sort()
  const sums = sumsOf(state)
  return names.map(name => {
    const record = state.servers.get(name)
    return {
      name,
      role: record?.role ?? 'removed',
      member: memberOf(configuration, name),
      state: ledger.serverState(name),
      leader: name === leader,
      incarnation: record?.incarnation ?? 0,
      ...(record === undefined ? never : heard(state, record)),
      share: sums.get(name)?.share ?? 0,
      inUse: sums.get(name)?.inUse ?? 0,
      ...progress(
        name === server,
        node,
        peers.find(({ id }) => id === name),
      ),
    }
  })
}

const never = { listedTicksAgo: 0, downInTicks: 0 }

function heard({ tick }: LedgerState, record: ServerRecord) {
  return {
    listedTicksAgo: tick - record.listedTick,
    downInTicks: Math.max(0, record.downAt - tick),
  }
}

function memberOf(configuration: Configuration | undefined, name: string): Member['member'] {
  if (configuration === undefined) return 'none'
  if (configuration.voters.includes(name)) return 'voter'
  if (isVoter(configuration, name)) return 'leaving'
  return configuration.learners.includes(name) ? 'learner' : 'none'
}

/** The leader's word, of itself and of those it has heard. */
function progress(isOwn: boolean, node: NodeStatus | undefined, peer: Peer | undefined) {
  if (isOwn && node?.role === 'leader') {
    const trust = 'full' as const
    return { matchIndex: node.lastIndex, lag: 0, reachable: true, trust }
  }
  if (peer === undefined) return {}
  const { matchIndex, lag, reachable, untrusted } = peer
  const trust =
    untrusted === undefined ? 'full' : untrusted === 'relearning' ? 'relearning' : 'unknown'
  return { matchIndex, lag, reachable, trust } as const
}

/** Per server: what it owns, and what its last listing said is in use. */
function sumsOf({ features }: LedgerState): Map<string, { share: number; inUse: number }> {
  const sums = new Map<string, { share: number; inUse: number }>()
  const of = (server: string) => {
    const known = sums.get(server) ?? { share: 0, inUse: 0 }
    sums.set(server, known)
    return known
  }
  for (const { shares, usage } of features.values()) {
    for (const [server, share] of shares) of(server).share += share
    for (const [server, { inUse }] of usage) of(server).inUse += inUse
  }
  return sums
}
