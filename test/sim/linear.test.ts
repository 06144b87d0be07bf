/**
 * The checker of linearizability finds what it is there for, and accepts what is right, by hand-made histories and
 * against a slow but obvious one.
 */
import t from 'tap'
import {
  checkFeature,
  featureModel,
  type FeatureInput,
  type FeatureOutput,
} from './node-history.ts'
import { checkLinearizable, type Model, type Operation } from './linear.ts'
import { SeededRandom } from './seeded-random.ts'

type Step = Operation<FeatureInput, FeatureOutput>

const add = (count: number, calledAt: number, returnedAt: number): Step => ({
  input: { kind: 'add', count },
  output: { revision: 0 },
  ...{ calledAt, returnedAt },
})
/** Asked for, and nobody knows what became of it. */
const lost = (count: number, calledAt: number): Step => ({
  input: { kind: 'add', count },
  output: undefined,
  ...{ calledAt, returnedAt: Infinity },
})
const read = (allocations: number, calledAt: number, returnedAt: number): Step => ({
  input: { kind: 'read' },
  output: { revision: 0, allocations, threshold: 0.9 },
  ...{ calledAt, returnedAt },
})

t.test('one after the other', t => {
  t.equal(checkFeature([add(5, 0, 1), read(6, 2, 3), add(2, 4, 5), read(8, 6, 7)]), 'linearizable')
  t.equal(checkFeature([]), 'linearizable')
  t.end()
})

t.test('what overlaps may come in either order', t => {
  t.equal(checkFeature([add(5, 0, 10), read(1, 1, 2), read(6, 3, 4)]), 'linearizable')
  t.equal(checkFeature([add(5, 0, 10), read(6, 1, 2), read(1, 3, 4)]), 'not-linearizable')
  t.end()
})

t.test('a stale read, a lost write and a write done twice are found', t => {
  t.equal(checkFeature([add(5, 0, 1), read(1, 2, 3)]), 'not-linearizable')
  t.equal(checkFeature([add(5, 0, 1), read(6, 2, 3), read(1, 4, 5)]), 'not-linearizable')
  t.equal(checkFeature([add(5, 0, 1), read(11, 2, 3)]), 'not-linearizable')
  t.end()
})

t.test('an unknown outcome may be late, or never', t => {
  t.equal(checkFeature([lost(5, 0), read(1, 1, 2), read(6, 3, 4)]), 'linearizable')
  t.equal(checkFeature([lost(5, 0), read(1, 1, 2), read(1, 3, 4)]), 'linearizable')
  t.equal(checkFeature([lost(5, 0), read(6, 1, 2), read(1, 3, 4)]), 'not-linearizable')
  t.equal(checkFeature([read(6, 0, 1), lost(5, 2)]), 'not-linearizable', 'not before its call')
  t.end()
})

t.test('a search that is too long is given up', t => {
  const many = Array.from({ length: 18 }, (_, n) => lost(2 ** n, 0))
  t.equal(checkLinearizable(featureModel, [...many, read(0, 1, 2)], 1000), 'undecided')
  t.end()
})

/** A register that tells what was in it. */
const register: Model<number, number, number> = {
  initial: 0,
  step: (state, input, output) => (output === undefined || output === state ? input : undefined),
  key: String,
}

/** Tries all orders. */
function isLinearizable(operations: readonly Operation<number, number>[], state: number): boolean {
  const known = operations.filter(({ output }) => output !== undefined)
  if (known.length === 0) return true
  const first = Math.min(...known.map(({ returnedAt }) => returnedAt))
  return operations.some(one => {
    if (one.calledAt > first) return false
    const next = register.step(state, one.input, one.output)
    if (next === undefined) return false
    const rest = operations.filter(other => other !== one)
    return isLinearizable(rest, next)
  })
}

t.test('it agrees with a search of all orders', t => {
  const random = new SeededRandom('linear')
  const verdicts = { linearizable: 0, 'not-linearizable': 0, undecided: 0 }
  for (let n = 0; n < 3000; n++) {
    const history = Array.from({ length: random.between(1, 6) }, () => {
      const calledAt = random.between(0, 12)
      const output = random.chance(0.2) ? undefined : random.between(0, 2)
      const returnedAt = calledAt + random.between(1, 6)
      return { input: random.between(0, 2), output, calledAt, returnedAt }
    })
    const verdict = checkLinearizable(register, history)
    verdicts[verdict]++
    const expected = isLinearizable(history, 0) ? 'linearizable' : 'not-linearizable'
    if (verdict !== expected) {
      t.fail(`${verdict}, and all orders say ${expected}`, { history })
      break
    }
  }
  t.ok(verdicts.linearizable > 100 && verdicts['not-linearizable'] > 100, 'both were met')
  t.equal(verdicts.undecided, 0)
  t.end()
})
