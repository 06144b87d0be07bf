/**
 * Shapes: what they take and refuse at their edges is what TypeBox took and refused, by which servers of before read the
 * same entries (I5).
 */
import t from 'tap'
import type { GenericSchema } from 'valibot'
import {
  choice,
  faultOf,
  figure,
  figures,
  filled,
  isOf,
  list,
  loose,
  noList,
  one,
  oneOf,
  optional,
  pattern,
  strict,
  text,
  whole,
} from '../lib/shape.ts'

const snake = '\u{1f40d}'

/** Own whatever its name, as JSON.parse makes it. */
function own(name: string, value: unknown): object {
  return Object.fromEntries([[name, value]])
}

interface Edge {
  readonly shape: GenericSchema
  readonly taken: readonly unknown[]
  readonly refused: readonly unknown[]
}

const either = choice('type', [
  strict({ type: one('a'), n: optional(figure) }),
  strict({ type: one('b'), s: text(3) }),
])

const edges: Record<string, Edge> = {
  'lengths are counted in code points': {
    shape: filled(2),
    taken: ['a', snake, snake + snake, '\ud83d\ud83d', 'e\u0301'],
    refused: [
      '',
      'abc',
      snake + snake + 'a',
      '\ud83d\ud83d\ud83d',
      5,
      null,
      ['a'],
      Buffer.from('a'),
    ],
  },
  'a pattern is of the whole text': {
    shape: pattern(/^[a-c]{0,2}$/, 2),
    taken: ['', 'ab'],
    refused: ['abc', 'a\n', 'd', undefined],
  },
  'a figure is finite': {
    shape: figure,
    taken: [0, -0, 1.5, 1e308, 2 ** 60, 5e-324],
    refused: [NaN, Infinity, -Infinity, 1n, '1', null, undefined],
  },
  'a whole number is one however large, within its bounds': {
    shape: whole(0, 2 ** 60),
    taken: [0, -0, 2 ** 53 + 2, 2 ** 60],
    refused: [-1, 0.5, 2 ** 61, NaN, Infinity, 1n, '1'],
  },
  'a number is no text': { shape: one(1), taken: [1], refused: ['1', true, 1n, 2] },
  'one of some texts': { shape: oneOf('x', 'y'), taken: ['x'], refused: ['z', '', 0, ['x']] },
  'a list is one, and of its length': {
    shape: list(figure, { min: 1, max: 2 }),
    taken: [[1], [1, 2]],
    refused: [[], [1, 2, 3], [1, undefined], { 0: 1, length: 1 }, new Uint8Array(1), 'a'],
  },
  'a field that may be absent may be undefined, no other': {
    shape: strict({ a: figure, b: optional(figure) }),
    taken: [{ a: 1 }, { a: 1, b: undefined }, { b: 2, a: 1 }],
    refused: [{ b: 1 }, { a: undefined }, { a: 1, b: null }, { a: 1, c: undefined }, null, []],
  },
  'no field too many, whatever its name': {
    shape: strict({ b: optional(figure) }),
    taken: [{}, { b: 1 }],
    refused: ['__proto__', 'constructor', 'toString', '', '0'].map(name => own(name, 1)),
  },
  'others beside it': {
    shape: loose({ a: figure }),
    taken: [{ a: 1, more: 1 }, own('a', 1)],
    refused: [{ more: 1 }, 5],
  },
  'a list is no object': {
    shape: noList(strict({ b: optional(figure) })),
    taken: [{}, { b: 1 }],
    refused: [[], [1], null, 'a'],
  },
  'figures by name': {
    shape: figures,
    taken: [{}, { a: 1 }, own('__proto__', 1), own('constructor', 1), { 'a\nb': 'not looked at' }],
    refused: [[], [1], { a: '1' }, { a: NaN }, { a: undefined }, own('__proto__', 'x'), null],
  },
  'the kind is told by a field': {
    shape: either,
    taken: [{ type: 'a' }, { type: 'a', n: 1 }, { s: 'xyz', type: 'b' }],
    refused: [
      { type: 'a', s: 'x' },
      { type: 'b' },
      { type: 'c' },
      { type: ['a'] },
      {},
      null,
      'a',
      [],
    ],
  },
}

for (const [name, { shape, taken, refused }] of Object.entries(edges)) {
  t.test(name, async t => {
    for (const value of taken) t.ok(isOf(shape, value), `${String(JSON.stringify(value))} is taken`)
    for (const value of refused) t.notOk(isOf(shape, value), 'refused')
    for (const value of taken) t.equal(faultOf(shape, value), undefined)
    for (const value of refused) t.ok(faultOf(shape, value), 'and it is said why')
  })
}

t.test('a fault says where and what, and does not quote the value', async t => {
  const shape = strict({
    list: list(strict({ n: whole(1, 9) }), { max: 2 }),
    name: optional(filled(5)),
    id: optional(pattern(/^[ab]$/)),
    either: optional(either),
  })
  const faults: [value: unknown, path: string, message: string][] = [
    [{}, 'list', 'is missing'],
    ['secret', '', 'must be object'],
    [{ list: [], secret: 1 }, 'secret', 'is not known'],
    [{ list: 'secret' }, 'list', 'must be array'],
    [{ list: [{ n: 1 }, { n: 0 }] }, 'list.1.n', 'must be >= 1'],
    [{ list: [{ n: 10 }] }, 'list.0.n', 'must be <= 9'],
    [{ list: [{ n: 1.5 }] }, 'list.0.n', 'must be integer'],
    [{ list: [{ n: 'secret' }] }, 'list.0.n', 'must be integer'],
    [{ list: [{ n: 1 }, { n: 1 }, { n: 1 }] }, 'list', 'must not have more than 2 items'],
    [{ list: [], name: 'secret' }, 'name', 'must not have more than 5 characters'],
    [{ list: [], name: '' }, 'name', 'must not be empty'],
    [{ list: [], id: 'secret' }, 'id', 'must match ^[ab]$'],
    [{ list: [], either: { type: 'secret' } }, 'either', 'is of no known kind'],
  ]
  for (const [value, path, message] of faults) t.same(faultOf(shape, value), { path, message })
})
