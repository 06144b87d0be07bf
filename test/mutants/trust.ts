/** Bugs of what a server may do that lost what it had promised (see `raft/core/trust.ts`). */
import type { Mutant } from './mutant.ts'

const trust = 'raft/core/trust.js'

export const trustMutants: readonly Mutant[] = [
  {
    name: 'damaged-server-votes',
    doc: 'A server that lost part of its log votes by what is left of it.',
    ids: ['D2', 'R12'],
    file: 'raft/core/election.js',
    find: "if (trust.kind !== 'full' && !isOver)",
    put: 'if (false)',
  },
  {
    name: 'damaged-server-campaigns',
    doc: 'A server that lost part of its log asks for votes.',
    ids: ['D2', 'R12'],
    file: trust,
    find: "return isVoter(configuration, id) && trust.kind === 'full';",
    put: 'return isVoter(configuration, id);',
  },
  {
    name: 'damaged-server-counts',
    doc: 'What a server acknowledges that lost part of its log counts like any other.',
    ids: ['D2', 'R12'],
    file: trust,
    find: 'if (isNews) return startOver(state, progress, progress.matchIndex);',
    put: 'progress.untrusted = undefined;',
  },
  {
    name: 'lost-log-goes-unnoticed',
    doc: 'A leader does not see that a follower no longer has what it acknowledged.',
    ids: ['D2', 'R7', 'R12'],
    file: trust,
    find: 'if (answer.round < proof.round) return false;',
    put: 'if (answer.round >= 0) return false;',
  },
  {
    name: 'taught-up-to-the-commit-index',
    doc: 'A damaged server votes again when it has what is committed, and lacks what it acknowledged beyond.',
    ids: ['D2'],
    file: trust,
    find: "state.send({ type: 'teachReply', ...state.envelope(peer), key, lastIndex: log.lastIndex })",
    put: "state.send({ type: 'teachReply', ...state.envelope(peer), key, lastIndex: state.commitIndex })",
  },
  {
    name: 'wiped-server-votes-when-taught',
    doc: 'A server that does not know how it voted votes again as soon as it has the log.',
    ids: ['R12', 'M3'],
    file: trust,
    find: "if (trust.kind === 'relearning') { if (matched >= target)",
    put: 'if (target < Infinity) { if (matched >= target)',
  },
  {
    name: 'answers-of-before-the-loss-count',
    doc: 'What a server acknowledged before it lost it counts after it said so.',
    ids: ['R4', 'M4', 'D2'],
    file: trust,
    find: '|| round < progress.since',
    put: '',
  },
  {
    name: 'pupil-answered-without-a-round',
    doc: 'A wiped server is told its target by a leader that may have been replaced.',
    ids: ['R12'],
    file: trust,
    find: "if (untrusted === 'relearning') { state.send(",
    put: 'if (state.committedInTerm) { state.send(',
  },
]
