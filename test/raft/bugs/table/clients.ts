/** Reads, clients, time (paper, 8). */
import type { Bug } from '../bug.ts'

const simulation = ['test/sim/node-world.ts', 'test/sim/linear.ts']
const noLease =
  'no read rests on a lease: each takes a round of its own; leases of licenses have their own tests'

export const clients: readonly Bug[] = [
  {
    id: 'C1',
    source: 'etcd#741',
    was: 'reads were answered without a quorum',
    tests: ['C1-read-without-a-quorum.txt'],
    mutants: ['read-without-a-round'],
  },
  {
    id: 'C1',
    source: 'dqlite#258',
    was: 'a leader that was replaced unknowingly answered reads',
    tests: ['C1-read-without-a-quorum.txt'],
    mutants: ['read-without-a-round'],
  },
  {
    id: 'C2',
    source: 'etcd#20418, etcd-io/raft#397',
    was: 'late answers to a read confirmed a later one that was asked under the same key',
    tests: ['C2-answers-to-an-earlier-read.txt'],
    mutants: ['read-joins-the-round-under-way', 'late-answer-confirms-another-read'],
  },
  {
    id: 'C3',
    source: 'tikv#9208',
    was: 'a stale index was read after a transfer of leadership',
    tests: ['C3-reads-around-a-transfer.txt'],
    mutants: ['reads-answered-on-stepping-down'],
  },
  {
    id: 'C3',
    source: 'tikv#4680',
    was: 'a read meant for the leader of before a transfer was answered by the next',
    tests: ['C3-reads-around-a-transfer.txt'],
    mutants: ['read-index-of-an-earlier-leader'],
  },
  {
    id: 'C3',
    source: 'openraft 1ef3e574',
    was: 'reads were served during a transfer',
    tests: ['C3-reads-around-a-transfer.txt'],
    mutants: ['transfer-takes-reads'],
  },
  {
    id: 'C4',
    source: 'nats f73fede49',
    was: 'a leader was active before its first entry was committed',
    tests: ['C4-before-its-own-entry.txt', 'shell#C4-leads-when-applied'],
    mutants: ['read-before-an-entry-of-the-term', 'leads-before-applied'],
  },
  {
    id: 'C4',
    source: 'redisraft#18',
    was: 'reads were answered before the first entry of the term was committed',
    tests: ['C4-before-its-own-entry.txt'],
    mutants: ['read-before-an-entry-of-the-term'],
  },
  ...['tikv#964', 'jraft#15, #25', 'yugabyte#16', 'nebula#2723'].map(source => ({
    id: 'C5',
    source,
    was: 'a lease for reads on the wall clock, or counted from when an answer arrived',
    absent: noLease,
  })),
  {
    id: 'C5',
    source: 'the same, of check-quorum',
    was: 'a leader believed for too long that it is heard',
    tests: ['C5-age-of-an-answer.txt', 'shell#C5-paused-leader'],
    mutants: ['answers-count-from-their-arrival', 'stall-forgets-nothing', 'stall-goes-unnoticed'],
  },
  {
    id: 'C6',
    source: 'cockroach#10602',
    was: 'a command that was believed lost was proposed again, and applied twice',
    tests: ['C6-truncated-and-back.txt'],
    mutants: ['truncated-proposal-called-lost'],
    also: ['test/ledger/ledger.test.ts'],
  },
  ...['etcd#3587', 'ra#145'].map(source => ({
    id: 'C6',
    source,
    was: 'a command that a caller proposed again was applied twice',
    tests: ['C6-truncated-and-back.txt'],
    mutants: ['truncated-proposal-called-lost'],
    also: ['test/ledger/ledger.test.ts'],
  })),
  {
    id: 'C6',
    source: 'hashicorp/raft#142',
    was: 'commands were applied again after a restart',
    tests: ['C6-applied-again-after-a-restart.txt', 'shell#C6-restart-from-a-snapshot'],
    mutants: ['applied-one-less-after-restart', 'applied-again-after-restart'],
  },
  {
    id: 'C6',
    source: 'shaj13/raft#27',
    was: 'a restart replayed what the snapshot already had',
    tests: ['C6-applied-again-after-a-restart.txt'],
    mutants: ['applied-one-less-after-restart'],
  },
  {
    id: 'C7',
    source: 'openraft 13df5b32',
    was: 'a caller was never told after its entry was truncated',
    tests: ['C7-every-caller-is-told.txt', 'shell#C7-caller-of-a-cut-off-leader'],
    mutants: [
      'truncated-proposal-never-settled',
      'forwarded-reads-never-end',
      'cut-off-caller-never-told',
    ],
  },
  {
    id: 'C7',
    source: 'openraft 1d5cc706',
    was: 'a caller was never told after its entry was purged',
    tests: ['C7-every-caller-is-told.txt'],
    mutants: ['proposal-under-a-snapshot-never-settled'],
  },
  {
    id: 'C8',
    source: 'redisraft#28, #44, #52',
    was: 'faults of several kinds at once ended in two histories',
    tests: ['V7-two-leaders-in-one-term.txt', 'C1-read-without-a-quorum.txt'],
    mutants: ['vote-given-twice', 'read-without-a-round'],
    also: simulation,
  },
  {
    id: 'C9',
    source: 'openraft 97d92771',
    was: 'a restarted follower took an old commit index for the newest',
    tests: ['C9-old-commit-after-a-restart.txt'],
    mutants: ['everything-committed-after-restart'],
  },
]
