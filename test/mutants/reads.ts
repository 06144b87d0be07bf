/** Bugs of reads and of leadership transfer (paper, 8; thesis 3.10, 6.4). */
import type { Mutant } from './mutant.ts'

const reads = 'raft/core/reads.js'
const heartbeat = 'raft/core/heartbeat.js'

export const readMutants: readonly Mutant[] = [
  {
    name: 'read-without-a-round',
    doc: 'A leader answers reads without asking whether it still leads.',
    ids: ['C1', 'V7', 'C8'],
    file: reads,
    find: 'confirmedRound(state, leadership) < batch.round',
    put: 'false',
  },
  {
    name: 'read-confirmed-one-server-short',
    doc: 'One answer confirms a read, whatever the number of servers.',
    ids: ['V6', 'C1'],
    file: heartbeat,
    find: 'return quorumValue(state.configuration, id => id === state.id ? Infinity : (progress.get(id)?.ackedRound ?? 0));',
    put: 'return Math.max(...[...progress.values()].map(peer => peer.ackedRound), progress.size === 0 ? Infinity : 0);',
  },
  {
    name: 'read-joins-the-round-under-way',
    doc: 'A read is confirmed by answers to what was asked before it.',
    ids: ['C2', 'C5'],
    file: reads,
    find: 'broadcastHeartbeat(state, leadership); leadership.readBatch',
    put: 'leadership.readBatch',
  },
  {
    name: 'late-answer-confirms-another-read',
    doc: 'The answer to an earlier question confirms a later one.',
    ids: ['C2'],
    file: reads,
    find: 'if (sent?.key !== key)',
    put: 'if (sent === undefined)',
  },
  {
    name: 'read-before-an-entry-of-the-term',
    doc: 'A new leader answers reads before it knows what is committed.',
    ids: ['C4'],
    file: reads,
    find: '|| !state.committedInTerm)',
    put: ')',
  },
  {
    name: 'reads-answered-on-stepping-down',
    doc: 'A leader that steps down answers the reads that wait.',
    ids: ['C3', 'C1'],
    file: reads,
    find: "for (const request of open) refuse(state, request, 'leader-changed');",
    put: 'for (const request of open) answer(state, request, state.commitIndex);',
  },
  {
    name: 'read-index-of-an-earlier-leader',
    doc: 'A question meant for the leader of an earlier term is answered.',
    ids: ['C3'],
    file: reads,
    find: 'leadership === undefined || term !== state.currentTerm',
    put: 'leadership === undefined',
  },
  {
    name: 'forwarded-reads-never-end',
    doc: 'A read that waits for a leader that is gone waits for ever.',
    ids: ['C7'],
    file: reads,
    find: 'sent === undefined || now - sent.at < electionTimeoutMs / 2',
    put: 'true',
  },
  {
    name: 'transfer-takes-proposals',
    doc: 'A leader goes on taking proposals while it hands over, and the target never draws level.',
    ids: ['C3', 'V12'],
    file: 'raft/core/replication.js',
    find: "if (leadership.transfer !== undefined) return 'transferring';",
    put: '',
  },
  {
    name: 'transfer-before-the-target-is-level',
    doc: 'The target is told to take over while it lacks entries.',
    ids: ['V12'],
    file: 'raft/core/transfer.js',
    find: 'if (peer?.countedIndex !== state.log.lastIndex) return; under.sent',
    put: 'under.sent',
  },
  {
    name: 'transfer-never-given-up',
    doc: 'A leader whose target is gone takes nothing any more.',
    ids: ['V12', 'C3'],
    file: 'raft/core/transfer.js',
    find: 'if (state.now - under.startedAt < state.settings.electionTimeoutMs) return;',
    put: 'return;',
  },
]
