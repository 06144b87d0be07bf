/**
 * The checker of chaos runs: it lets pass what is right, to the last seat and moment, and finds each kind of wrong.
 */
import t from 'tap'
import { beliefsOf, checkSeats, limitsOf, longestUnconfirmed } from './checker.ts'
import { checkCommands } from './commands.ts'
import type { Line, SampledFeature, SampleLine } from './history.ts'
import { plantDoubleGrant } from './plant.ts'
import { drawRun } from './picture.ts'

const cad = 'cad'

function founded(allocations: number): Line[] {
  return [call('found', 0, { adds: allocations, change: 'feature-add' }), told('found', 1, 1)]
}

function call(id: string, t: number, what: Partial<Extract<Line, { k: 'call' }>> = {}): Line {
  return { k: 'call', t, id, by: 'op', change: 'allocations-add', feature: cad, adds: 0, ...what }
}

function told(id: string, t: number, revision: number): Line {
  return { k: 'return', t, id, revision }
}

function refused(id: string, t: number, refusal: string): Line {
  return { k: 'return', t, id, refusal }
}

function grant(
  seat: string,
  t: number,
  until: number,
  what: { client?: string; count?: number } = {},
): Line {
  const { client = `c-${seat}`, count = 1 } = what
  return { k: 'grant', t, seat, client, feature: cad, count, until, at: 'alpha', askedMs: 1 }
}

function renew(seat: string, t: number, until: number): Line {
  return { k: 'renew', t, seat, until }
}

function end(seat: string, t: number, why: 'release' | 'lost' = 'release'): Line {
  return { k: 'end', t, seat, why }
}

function sample(
  t: number,
  revision: number,
  of: Partial<SampledFeature>,
  what: Partial<SampleLine> = {},
): SampleLine {
  const { allocations = 0, owed = 0, free = allocations + owed, owned = 0 } = of
  const features = [{ name: cad, allocations, owed, free, owned }]
  const rest = { server: 'alpha', term: 1, lastApplied: t, hash: `h${t}`, differing: [] }
  return { k: 'sample', t, revision, features, ...rest, ...what }
}

function rulesOf(violations: readonly { rule: string }[]): string[] {
  return violations.map(({ rule }) => rule)
}

t.test('seats up to the limit are no violation, one more is', t => {
  const full = [...founded(2), grant('a', 10, 20), grant('b', 11, 30)]
  t.same(checkSeats(full).violations, [])
  t.same(checkSeats(full).peaks, { cad: { most: 2, leastRoom: 0 } })
  const over = checkSeats([...full, grant('c', 19, 40)])
  t.same(over.violations, [
    { rule: 'I3', t: 19, what: 'cad: 3 seats believed valid, at most 2 exist' },
  ])
  t.same(checkSeats([...full, grant('c', 20, 40)]).violations, [], 'ends as the other begins')
  t.same(rulesOf(checkSeats([...founded(2), grant('a', 10, 20, { count: 3 })]).violations), ['I3'])
  t.end()
})

t.test('a release ends the belief, and so does its time; who was killed believes on', t => {
  const released = [...founded(1), grant('a', 10, 50), end('a', 20), grant('b', 20, 60)]
  t.same(checkSeats(released).violations, [])
  const killed = [...founded(1), grant('a', 10, 50), grant('b', 49, 60)]
  t.same(rulesOf(checkSeats(killed).violations), ['I3'])
  const late = [...founded(1), grant('a', 10, 50), end('a', 90, 'lost'), grant('b', 50, 60)]
  t.same(checkSeats(late).violations, [], 'told late, but its time was over')
  t.end()
})

t.test('the newest word of a seat counts, also where it says less or comes after a gap', t => {
  const spans = (lines: Line[]) => beliefsOf(lines).map(({ from, until }) => [from, until])
  t.same(spans([grant('a', 10, 50), renew('a', 20, 80)]), [[10, 80]])
  t.same(spans([grant('a', 10, 50), renew('a', 20, 40)]), [[10, 40]], 'after a move')
  t.same(
    spans([grant('a', 10, 50), renew('a', 70, 90)]),
    [
      [10, 50],
      [70, 90],
    ],
    'after a sleep',
  )
  t.same(spans([grant('a', 10, 50), renew('a', 20, 80), end('a', 30)]), [[10, 30]])
  t.end()
})

t.test('an addition counts from when it was sent, unless it was refused', t => {
  const limits = (lines: Line[]) =>
    limitsOf(lines)
      .get(cad)
      ?.map(({ t, limit }) => [t, limit])
  const add = [...founded(2), call('x', 10, { adds: 3 })]
  t.same(limits([...add, told('x', 12, 2)]), [
    [0, 2],
    [10, 5],
  ])
  t.same(
    limits(add),
    [
      [0, 2],
      [10, 5],
    ],
    'nobody knows',
  )
  t.same(limits([...add, refused('x', 12, 'LICD_TOO_MANY')]), [[0, 2]])
  const settled = { k: 'settled', t: 90, id: 'x' } as const
  t.same(limits([...add, { ...settled, outcome: 'never' }]), [[0, 2]])
  t.same(limits([...add, { ...settled, outcome: 'applied', revision: 2 }]), [
    [0, 2],
    [10, 5],
  ])
  t.end()
})

t.test('a removal counts from when a server tells that less is left, owed included', t => {
  const lines = [
    ...founded(10),
    sample(5, 1, { allocations: 10 }),
    sample(20, 2, { allocations: 4, owed: 3 }),
    sample(30, 3, { allocations: 4, owed: 0 }),
    call('x', 32, { adds: 2 }),
    sample(33, 3, { allocations: 4 }, { server: 'beta' }),
    told('x', 34, 4),
    sample(36, 4, { allocations: 6 }),
    sample(38, 2, { allocations: 4, owed: 3 }, { server: 'gamma' }),
  ]
  const steps = limitsOf(lines)
    .get(cad)
    ?.map(({ t, limit }) => [t, limit])
  t.same(steps?.at(-1), [36, 6], 'what lags behind raises nothing')
  t.same(steps?.slice(0, 5), [
    [0, 10],
    [5, 10],
    [20, 7],
    [30, 4],
    [32, 6],
  ])
  const held = (from: number) => [...lines, grant('a', from, from + 1, { count: 7 })]
  t.same(checkSeats(held(25)).violations, [])
  t.same(rulesOf(checkSeats(held(31)).violations), ['I3'])
  t.end()
})

t.test('one seat has one holder', t => {
  const two = [
    ...founded(9),
    grant('a', 10, 20, { client: 'x' }),
    grant('a', 15, 30, { client: 'y' }),
  ]
  t.same(rulesOf(checkSeats(two).violations), ['one-holder'])
  const later = [
    ...founded(9),
    grant('a', 10, 20, { client: 'x' }),
    grant('a', 20, 30, { client: 'y' }),
  ]
  t.same(checkSeats(later).violations, [])
  t.end()
})

t.test('the longest wait for a confirmation, of clients that could ask', t => {
  const lines = [grant('a', 0, 50), renew('a', 30, 80), grant('b', 0, 60), end('b', 45)]
  const worst = longestUnconfirmed(lines, () => false)
  t.same([worst.ms, worst.seat], [45, 'b'])
  t.same(longestUnconfirmed(lines, client => client === 'c-b').seat, 'a')
  t.end()
})

const finals = (allocations: number): SampleLine[] =>
  ['alpha', 'beta'].map(server => sample(100, 9, { allocations }, { server }))

function commandRules(lines: readonly Line[], allocations: number): string[] {
  return rulesOf(checkCommands(lines, finals(allocations)).violations)
}

t.test('what was acknowledged is there in the end, once', t => {
  const lines = [...founded(5), call('x', 10, { adds: 2 }), told('x', 12, 2)]
  t.same(commandRules(lines, 7), [])
  t.same(commandRules(lines, 5), ['lost'], 'forgotten')
  t.same(commandRules(lines, 9), ['lost'], 'done twice')
  const unknown = [...lines, call('y', 20, { adds: 1 })]
  t.same(commandRules(unknown, 7), [])
  t.same(commandRules(unknown, 8), [])
  t.same(commandRules(unknown, 9), ['lost'])
  t.same(rulesOf(checkCommands(lines, []).violations), ['lost'])
  t.end()
})

t.test('revisions follow the order of time, and are nobody else\u2019s', t => {
  const x = [...founded(5), call('x', 10), told('x', 12, 3)]
  t.same(commandRules([...x, call('y', 13), told('y', 14, 4)], 5), [])
  t.same(commandRules([...x, call('y', 13), told('y', 14, 2)], 5), ['linearizable'])
  t.same(commandRules([...x, call('y', 11), told('y', 14, 2)], 5), [], 'at one time')
  t.same(commandRules([...x, call('y', 11), told('y', 14, 3)], 5), ['linearizable'], 'twice one')
  t.end()
})

t.test('what is sent again is known, and has its first revision', t => {
  const x = [...founded(5), call('x', 10), told('x', 12, 3)]
  const again = { k: 'again', t: 20, id: 'x' } as const
  t.same(commandRules([...x, { ...again, revision: 3, duplicate: true }], 5), [])
  t.same(commandRules([...x, again], 5), [], 'nobody answered')
  t.same(commandRules([...x, { ...again, revision: 4, duplicate: false }], 5), ['I4'])
  t.same(commandRules([...x, { ...again, refusal: 'LICD_CODE_EXISTS' }], 5), ['I4'])
  t.end()
})

t.test('a code is added once and removed once', t => {
  const add = (id: string, at: number) => call(id, at, { change: 'code-add', codeId: 'k', adds: 1 })
  const remove = (id: string, at: number) => call(id, at, { change: 'code-remove', codeId: 'k' })
  const once = [...founded(5), add('x', 10), told('x', 12, 2)]
  t.same(commandRules([...once, add('y', 11), refused('y', 14, 'LICD_CODE_EXISTS')], 6), [])
  t.same(commandRules([...once, add('y', 13), told('y', 14, 3)], 7), ['linearizable'])
  const early = refused('y', 9, 'LICD_CODE_EXISTS')
  t.same(commandRules([...once, add('y', 8), early], 6), ['linearizable'], 'before it was there')
  const removed = [...once, remove('z', 20), told('z', 22, 3)]
  t.same(commandRules(removed, 5), [])
  t.same(commandRules([...removed, remove('y', 30), told('y', 31, 4)], 4), ['linearizable'])
  const other = refused('y', 9, 'LICD_TOO_MANY')
  t.same(commandRules([...once, add('y', 8), other], 6), [], 'says nothing of the code')
  t.end()
})

t.test('servers that differ, and tables that do not add up, are found', t => {
  const lines = founded(5)
  const [first] = finals(5)
  if (first === undefined) throw new Error('no final')
  const other = sample(100, 9, { allocations: 5, free: 4, owned: 1 }, { server: 'beta' })
  t.same(rulesOf(checkCommands(lines, [first, other]).violations), ['I5'])
  const differing = { ...first, differing: ['beta'] }
  t.same(rulesOf(checkCommands(lines, [differing]).violations), ['I5'])
  t.same(commandRules([...lines, sample(50, 3, { allocations: 5, free: 5, owned: 1 })], 5), ['I1'])
  const forked = { server: 'beta', hash: 'other' }
  const two = [sample(50, 3, { allocations: 5 }), sample(50, 3, { allocations: 5 }, forked)]
  t.same(commandRules([...lines, ...two], 5), ['I5'])
  t.end()
})

t.test('a double grant is planted where every seat is in use, and nowhere else', t => {
  const lines = [...founded(2), grant('a', 10, 20), grant('b', 12, 30)]
  const planted = plantDoubleGrant(lines)
  t.equal(planted?.t, 12)
  t.same(rulesOf(checkSeats(planted?.lines ?? []).violations), ['I3'])
  t.equal(plantDoubleGrant([...founded(3), grant('a', 10, 20)]), undefined)
  t.end()
})

t.test('a picture is one well-formed text with every fault in it', t => {
  const fault = { k: 'fault', kind: 'server killed', target: 'alpha', from: 12, to: 15 } as const
  const svg = drawRun([...founded(2), grant('a', 10, 20), fault], {
    ...{ title: 'a < b & c', hosts: ['alpha'], sites: ['site-1'] },
    violations: [{ rule: 'I3', t: 14, what: 'x < y' }],
  })
  t.match(svg, /^<svg [^>]+>\n[^]*<\/svg>\n$/)
  t.match(svg, 'server killed: alpha')
  t.match(svg, 'a &lt; b &amp; c')
  t.match(svg, '1 violations: x &lt; y')
  t.notMatch(svg, /NaN|Infinity|undefined/)
  t.equal(svg.split('<g').length, svg.split('</g').length)
  t.end()
})
