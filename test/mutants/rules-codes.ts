/** Bugs of codes that end, of what is owed, and of the calendar (R9, R10). */
import type { Mutant } from './mutant.ts'

const tick = 'lib/ledger/tick.js'

export const codeMutants: readonly Mutant[] = [
  {
    name: 'owed-not-paid-first',
    doc: 'Those who wait are served before what is owed is paid.',
    ids: ['R9'],
    file: 'lib/ledger/settle.js',
    find: 'payOwed(context, feature, standing); meetDemand(context, feature, standing);',
    put: 'meetDemand(context, feature, standing); payOwed(context, feature, standing);',
  },
  {
    name: 'lent-while-owed',
    doc: 'Spare is lent while something is owed.',
    ids: ['R9'],
    file: 'lib/ledger/give.js',
    find: 'const paid = Math.min(count, feature.owed);',
    put: 'const paid = 0;',
  },
  {
    name: 'granted-while-owed',
    doc: 'A server grants its spare while something is owed, so that it is never paid.',
    ids: ['R9'],
    file: 'lib/service/acquire.js',
    find: 'return stock.spare - (this.#desk.feature(stock.feature)?.owed ?? 0);',
    put: 'return stock.spare;',
  },
  {
    name: 'owed-forgotten',
    doc: 'The end of a code takes from the free pool alone what it should owe.',
    ids: ['R9'],
    file: 'lib/ledger/code.js',
    find: 'feature.owed += allocations - free;',
    put: 'feature.owed += 0;',
  },
  {
    name: 'code-never-ends',
    doc: 'A code whose time is over goes on.',
    ids: ['R9', 'R10'],
    file: 'lib/ledger/code.js',
    find: '(record.content.expiresAt ?? Infinity) > state.calendar)',
    put: 'record.content.expiresAt !== undefined)',
  },
  {
    name: 'code-starts-early',
    doc: 'A code counts from the day it is added, whenever it starts.',
    ids: ['R10'],
    file: 'lib/ledger/code.js',
    find: 'if (content.startsAt <= state.calendar) start(',
    put: 'if (content.startsAt > 0) start(',
  },
  {
    name: 'calendar-backwards',
    doc: 'The calendar follows clocks that are set back.',
    ids: ['R10'],
    file: tick,
    find: 'if (median === undefined || median <= state.calendar)',
    put: 'if (median === undefined)',
  },
  {
    name: 'calendar-jumps',
    doc: 'The calendar goes further than a minute in one tick.',
    ids: ['R10'],
    file: tick,
    find: 'state.calendar = Math.min(median, state.calendar + bounds.calendarStepMs);',
    put: 'state.calendar = median;',
  },
  {
    name: 'calendar-by-the-fastest-clock',
    doc: 'One clock that runs ahead moves the calendar.',
    ids: ['R10'],
    file: tick,
    find: 'const median = sorted[Math.floor((sorted.length - 1) / 2)];',
    put: 'const median = sorted.at(-1);',
  },
  {
    name: 'calendar-by-one-clock',
    doc: 'A tick that lists one server alone believes its clock.',
    ids: ['R10'],
    file: tick,
    find: 'if (2 * walls.length <= membersIn(state))',
    put: 'if (walls.length === 0)',
  },
]
