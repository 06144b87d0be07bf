/** Bugs of the client: when it believes in a seat, and whom it hears and asks while the seat moves (R4, R6). */
import type { Mutant } from './mutant.ts'

const acquiring = 'lib/client/acquiring.js'
const holding = 'lib/client/holding.js'
const journey = 'lib/client/journey.js'

export const clientMutants: readonly Mutant[] = [
  {
    name: 'seat-counted-from-receipt',
    doc: 'A client counts a renewal from when it heard of it.',
    ids: ['R4'],
    file: holding,
    find: 'const expiresAt = sent.at + result.expiresInMs;',
    put: 'const expiresAt = this.#time.now() + result.expiresInMs;',
  },
  {
    name: 'grant-counted-from-receipt',
    doc: 'A client counts a grant from when it heard of it.',
    ids: ['R4'],
    file: acquiring,
    find: 'const expiresAt = (sent?.at ?? -Infinity) + result.expiresInMs;',
    put: 'const expiresAt = this.#time.now() + result.expiresInMs;',
  },
  {
    name: 'seat-believed-after-suspension',
    doc: 'A client that was suspended believes in its seats before it renews them.',
    ids: ['R4'],
    file: 'lib/client/steady-clock.js',
    find: 'const stoodMs = this.#standstill.take();',
    put: 'const stoodMs = 0;',
  },
  {
    name: 'seat-believed-for-ever',
    doc: 'A client does not look at the time before it believes.',
    ids: ['R4'],
    file: 'lib/client/record.js',
    find: 'left = Math.min(left, seat.expiresAt - now);',
    put: 'left = Math.min(left, 60_000);',
  },
  {
    name: 'renews-at-the-old-server',
    doc: 'A client that does not know how its move ended goes back to the server it left.',
    ids: ['R6'],
    file: journey,
    find: '(name !== seat.server || open.size === 0 || open.has(name))',
    put: 'name !== undefined',
  },
  {
    name: 'open-move-forgotten',
    doc: 'A client takes a move that it confirmed for failed when it hears from another server.',
    ids: ['R6'],
    file: journey,
    find: 'journey.open.delete(server); for',
    put: 'journey.open.clear(); for',
  },
  {
    name: 'releases-while-a-move-is-open',
    doc: 'A client gives its seat back at the old server while it may be moving.',
    ids: ['R6'],
    file: holding,
    find: 'if (journey !== undefined && journey.open.size > 0)',
    put: 'if (false)',
  },
  {
    name: 'hears-the-server-it-left',
    doc: 'A client takes late replies of a server that it left.',
    ids: ['R6'],
    file: holding,
    find: 'return seat?.target === server && batch > seat.sinceBatch ? seat : undefined;',
    put: 'return seat;',
  },
  {
    name: 'hears-what-is-older-than-a-move',
    doc: 'A client that comes back to a server takes what that one said before.',
    ids: ['R6'],
    file: holding,
    find: 'return seat?.target === server && batch > seat.sinceBatch ? seat : undefined;',
    put: 'return seat?.target === server ? seat : undefined;',
  },
  {
    name: 'confirmation-not-noted',
    doc: 'A client does not note that it has confirmed a move.',
    ids: ['R6'],
    file: 'lib/client/outbox.js',
    find: 'batches.add(batch); journey.open.set(target, { lastTick: journey.lastTick, batches });',
    put: 'batches.add(batch);',
  },
  {
    name: 'unheard-grant-kept',
    doc: 'A seat that was granted to nobody is not given back.',
    ids: ['R4'],
    file: 'lib/client/core.js',
    find: 'if (!this.#holding.has(seat.seatId)) this.#unheard.giveBack(seat, server, sent);',
    put: '',
  },
]
