/** What operators hear of, of what the core tells. */
import t from 'tap'
import type { Logger } from '../../raft/ports.ts'
import { Shouter } from '../../raft/shout.ts'
import { coreOf, stateOf } from './core/cluster.ts'

t.test('a message that no correct server sends is an error with a code, once in a row', async t => {
  const said: unknown[] = []
  const say = (event: string, fields?: object): void => void said.push({ event, ...fields })
  const log: Logger = { debug: say, info: say, warn: say, error: say }
  const core = coreOf('a', stateOf(['a', 'b', 'c'], [], 2))
  const shouter = new Shouter('a', log)
  const hear = (from: string): void => {
    const body = { leaderCommit: 0, commitTerm: 0, round: 1 } as const
    const message = { type: 'heartbeat', from, to: 'a', term: 2, ...body } as const
    shouter.shout(core.step({ type: 'message', message }), undefined)
  }
  hear('b')
  t.same(said, [])
  for (const from of ['c', 'c', 'b', 'c']) hear(from)
  const violation = { event: 'raft-violation', code: 'RAFT_VIOLATION', property: 'election-safety' }
  t.same(said, [{ ...violation, from: 'c', term: 2 }])
  t.equal(core.leader, 'b')
})
