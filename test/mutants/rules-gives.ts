/** Bugs of borrowing, returning, lending and waiting (R1, R12, section 5). */
import type { Mutant } from './mutant.ts'

const borrow = 'lib/ledger/borrow.js'
const give = 'lib/ledger/give.js'
const giving = 'lib/service/giving.js'
const server = 'lib/ledger/server.js'
const settle = 'lib/ledger/settle.js'

export const giveMutants: readonly Mutant[] = [
  {
    name: 'returns-more-than-spare',
    doc: 'A server gives back what is in use.',
    ids: ['R1', 'R12'],
    file: giving,
    find: 'count = Math.min(stock.spare, Math.ceil((stock.share - keep) / 2));',
    put: 'count = stock.share;',
  },
  {
    name: 'takes-from-the-living',
    doc: 'Who waits is served from the share of a server that is silent.',
    ids: ['R1'],
    file: settle,
    find: "else if (serverStateOf(record, tick) === 'down')",
    put: "else if (serverStateOf(record, tick) !== 'up')",
  },
  {
    name: 'lent-to-a-silent-server',
    doc: 'A server that ticks do not list is lent to.',
    ids: ['R12'],
    file: give,
    find: 'if (!isUp(state, to, toIncarnation))',
    put: 'if (false)',
  },
  {
    name: 'silent-server-gives',
    doc: 'A server that ticks do not list returns or lends.',
    ids: ['R12'],
    file: give,
    find: 'if (!isListed(caller, state.tick, 2))',
    put: 'if (false)',
  },
  {
    name: 'silent-server-is-served',
    doc: 'Demand of a silent server takes what others could use.',
    ids: ['R12'],
    file: settle,
    find: 'if (!isUp(state, entry.server, entry.incarnation)) continue;',
    put: '',
  },
  {
    name: 'demand-loses-its-place',
    doc: 'Whoever asks again goes to the end of the queue.',
    ids: ['R12'],
    file: borrow,
    find: 'else entry.count = count;',
    put: 'else { feature.demand.splice(at, 1); feature.demand.push({ ...entry, count }); }',
  },
  {
    name: 'demand-outlives-the-run',
    doc: 'A server that started anew still waits for what its last run asked.',
    ids: ['R7', 'R12'],
    file: server,
    find: 'dropDemand(context, server); return { ok: true, incarnation: record.incarnation, relearn };',
    put: 'return { ok: true, incarnation: record.incarnation, relearn };',
  },
  {
    name: 'waiting-not-served-at-ticks',
    doc: 'A tick that finds a server down leaves its share to itself, though others wait.',
    ids: ['R12'],
    file: 'lib/ledger/tick.js',
    find: '(feature.owed === 0 && feature.demand.length === 0)',
    put: 'feature.owed === 0',
  },
  {
    name: 'leaving-server-is-given',
    doc: 'A server that stops is topped up.',
    ids: ['R7', 'R12'],
    file: server,
    find: "return !onlyGives(record) && serverStateOf(record, tick) === 'up';",
    put: "return serverStateOf(record, tick) === 'up';",
  },
  {
    name: 'lent-more-than-asked',
    doc: 'A server is lent more than waits there, and returns it: a ratchet.',
    ids: ['R12'],
    file: give,
    find: 'const lent = Math.min(count - paid, entry.count);',
    put: 'const lent = count - paid;',
  },
  {
    name: 'offer-before-the-free-pool',
    doc: 'A request takes from the leader what the free pool holds.',
    ids: ['section 5'],
    file: borrow,
    find: "request: ['free', 'down', 'offer'],",
    put: "request: ['offer', 'free', 'down'],",
  },
  {
    name: 'update-leaves-the-leader-out',
    doc: 'A fail-over update moves its allocation though the leader has spare.',
    ids: ['section 5'],
    file: borrow,
    find: "update: ['offer', 'free', 'move', 'down'],",
    put: "update: ['move', 'offer', 'free', 'down'],",
  },
  {
    name: 'offer-kept-beyond-need',
    doc: 'An offer is taken whole, more than was wanted.',
    ids: ['section 5'],
    file: borrow,
    find: 'const count = Math.min(room, offeredBy(state, feature, borrow));',
    put: 'const count = offeredBy(state, feature, borrow);',
  },
  {
    name: 'demand-never-met',
    doc: 'Spare is kept while another server waits for it.',
    ids: ['R12'],
    file: giving,
    find: 'if (spare > 0) this.#lend(stock, spare, feature.demand);',
    put: 'if (false) this.#lend(stock, spare, feature.demand);',
  },
  {
    name: 'idle-share-kept',
    doc: 'What lies idle above target never flows back.',
    ids: ['R12'],
    file: giving,
    find: 'if (plan.returning || stock.spare <= 0 || !this.#isListed())',
    put: 'if (feature.owed === 0)',
  },
]
