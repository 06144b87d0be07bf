import t from 'tap'
import fc from 'fast-check'
import {
  changed,
  configurationOf,
  isVoter,
  leftJoint,
  membersOf,
} from '../../../raft/core/configuration.ts'
import { isWon, majority, quorumValue } from '../../../raft/core/quorum.ts'
import { defaultSettings } from '../../../raft/core/settings.ts'
import { isConfiguration } from '../../../raft/record.ts'
import { settingsProblem } from '../../../raft/settings.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
const voters = fc.uniqueArray(fc.constantFrom(...ids), { minLength: 1 })
const joint = fc.record({
  voters: voters.map(list => list.sort()),
  outgoing: fc.option(voters, { nil: [] }).map(list => list.sort()),
  learners: fc.constant([]),
})

t.test('a majority is more than half, of even numbers too (hashicorp 163a55f)', async t => {
  t.same([1, 2, 3, 4, 5, 6, 7].map(majority), [1, 2, 2, 3, 3, 4, 4])
})

t.test('any two quorums share a server', async () => {
  fc.assert(
    fc.property(joint, fc.subarray(ids), fc.subarray(ids), (configuration, one, other) => {
      const has = (group: string[]) =>
        quorumValue(configuration, id => (group.includes(id) ? 1 : 0)) === 1
      return !(has(one) && has(other)) || one.some(id => other.includes(id))
    }),
    { numRuns: 500, seed: 1 },
  )
})

t.test('the quorum value is the largest that a quorum reaches', async () => {
  fc.assert(
    fc.property(
      joint,
      fc.array(fc.nat(9), { minLength: 7, maxLength: 7 }),
      (configuration, values) => {
        const valueOf = (id: string) => values[ids.indexOf(id)] ?? 0
        const reached = (list: readonly string[], value: number) =>
          list.length === 0 || list.filter(id => valueOf(id) >= value).length > list.length / 2
        const value = quorumValue(configuration, valueOf)
        const { voters, outgoing } = configuration
        const holds = (v: number) => reached(voters, v) && reached(outgoing, v)
        return holds(value) && !holds(value + 1)
      },
    ),
    { numRuns: 500, seed: 1 },
  )
})

t.test('5.2, 6: elections are won by a majority of each half, and by nobody else', async t => {
  const both = { voters: ['a', 'b', 'c'], outgoing: ['c', 'd', 'e'], learners: [] }
  const votes = (granted: string, refused = '') =>
    new Map([
      ...[...granted].map(id => [id, true] as const),
      ...[...refused].map(id => [id, false] as const),
    ])
  t.notOk(isWon(both, votes('abx')))
  t.ok(isWon(both, votes('abcd')))
  t.notOk(isWon(both, votes('abc', 'de')))
  t.notOk(isWon(both, votes('cde', 'ab')))
  t.notOk(isWon(configurationOf(['a', 'b']), votes('a', 'b')))
  t.notOk(isWon(configurationOf([]), votes('a')))
})

t.test('a change of voters is joint, one of learners is not', async t => {
  const from = configurationOf(['a', 'b', 'c'], ['d'])
  t.same(changed(from, { learners: ['e'] }), configurationOf(['a', 'b', 'c'], ['d', 'e']))
  const next = changed(from, { voters: ['d'], remove: ['a'], learners: ['b'] })
  t.same(next, { voters: ['c', 'd'], outgoing: ['a', 'b', 'c'], learners: ['b'] })
  t.ok(next && isConfiguration(next) && isVoter(next, 'b'))
  t.same(next && leftJoint(next), configurationOf(['c', 'd'], ['b']))
  t.same(next && membersOf(next), ['a', 'b', 'c', 'd'])
})

t.test('what is no configuration', async t => {
  t.ok(isConfiguration(configurationOf([])))
  t.notOk(isConfiguration({ voters: ['b', 'a'], outgoing: [], learners: [] }))
  t.notOk(isConfiguration({ voters: ['a', 'a'], outgoing: [], learners: [] }))
  t.notOk(isConfiguration({ voters: ['a'], outgoing: [], learners: ['a'] }))
  t.notOk(isConfiguration({ voters: [], outgoing: ['a'], learners: [] }))
  t.equal(changed(configurationOf(['a']), { remove: ['a'] }), undefined)
  t.equal(changed(configurationOf(['a']), {}), undefined)
})

t.test('settings out of bounds are named', async t => {
  t.equal(settingsProblem(defaultSettings), undefined)
  t.match(settingsProblem({ ...defaultSettings, heartbeatMs: 400 }), /third/)
  t.match(settingsProblem({ ...defaultSettings, maxInflightMessages: 0 }), /maxInflightMessages/)
  t.match(settingsProblem({ ...defaultSettings, trailingEntries: 1.5 }), /trailingEntries/)
  t.match(settingsProblem({ ...defaultSettings, electionTimeoutMs: NaN }), /electionTimeoutMs/)
})
