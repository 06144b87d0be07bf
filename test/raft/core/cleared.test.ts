/**
 * A server whose past is over (`cleared`) votes when asked: it may be a voter before it has the entry that says so, and
 * whoever asks may be able to win in no other way (etcd#10998).
 */
import t from 'tap'
import { configurationOf } from '../../../raft/core/configuration.ts'
import type { Trust } from '../../../raft/core/input.ts'
import { Raft } from '../../../raft/core/raft.ts'
import { defaultSettings } from '../../../raft/core/settings.ts'

/** Whether `b`, a learner of this trust, votes for `a`, which alone has the entry that makes `b` a voter. */
function isGranted(trust: Trust): boolean {
  const configuration = configurationOf(['a'], ['b'])
  const entry = { kind: 'configuration', index: 1, term: 1, configuration } as const
  const persisted = { trust, currentTerm: 1, votedFor: undefined, snapshot: undefined }
  const raft = new Raft({
    id: 'b',
    settings: defaultSettings,
    persisted: { ...persisted, entries: [entry] },
    seed: 1,
  })
  const ask = { from: 'a', to: 'b', term: 2, lastLogIndex: 2, lastLogTerm: 1, transfer: false }
  const { send } = raft.step({ type: 'message', message: { type: 'requestVote', ...ask } })
  return send.some(({ message }) => message.type === 'requestVoteReply' && message.voteGranted)
}

t.test('whoever is cleared votes, and whoever has not been taught does not', t => {
  t.equal(isGranted({ kind: 'full' }), true)
  t.equal(isGranted({ kind: 'unknown', cleared: true }), true)
  t.equal(isGranted({ kind: 'unknown' }), false)
  t.equal(isGranted({ kind: 'relearning' }), false)
  t.end()
})
