/**
 * A seat service without clients, for tests of the server around it: it records what the server tells it.
 *
 * It is no mock of the real one's rules; tests of those run the real one.
 */
import type { Offer } from '../../lib/ledger/command.ts'
import type { AppliedCommand, Host, SeatService } from '../../lib/server/parts.ts'

export interface IdleService extends SeatService {
  readonly host: Host
  readonly calls: string[]
  readonly commands: AppliedCommand[]
  readonly offers: Set<string>
  /** What an offer gives, or nothing. */
  spare: number
  /** What a clean stop hands over. */
  book: Uint8Array | undefined
}

export function idleService(host: Host): IdleService {
  const service: IdleService = {
    host,
    calls: [],
    commands: [],
    offers: new Set(),
    spare: 0,
    book: undefined,
    readAhead(book) {
      service.calls.push(`read ahead ${book.length}`)
    },
    start({ relearn, book }) {
      const given = book === undefined ? '' : ` book ${book.length}`
      service.calls.push(`start ${host.incarnation}${relearn ? ' relearn' : ''}${given}`)
    },
    applied(command) {
      service.commands.push(command)
    },
    installed() {
      service.calls.push('installed')
    },
    ended() {
      service.calls.push('ended')
    },
    offer(offerId): Offer | undefined {
      if (service.spare === 0) return undefined
      service.offers.add(offerId)
      return { server: host.server, incarnation: host.incarnation, count: service.spare }
    },
    settleOffer(offerId) {
      service.offers.delete(offerId)
    },
    usage: () => [],
    inUse: () => 0,
    seats: () => ({ seats: [], total: 0 }),
    report: {
      counts: {
        ...{ malformed: 0, replyless: 0, crowdedOut: 0 },
        messages: { find: 0, acquire: 0, renew: 0, release: 0, prove: 0 },
      },
      tallies: new Map(),
      dark: () => new Map(),
      turnedAway: () => undefined,
      ended: () => undefined,
      denials: () => [],
      standing: () => ({
        ...{ share: 0, promised: 0, limit: 0, inUse: 0, spare: 0 },
        ...{ grantsForMs: 0, waiting: 0, queuePlace: 0 },
      }),
    },
    stop(done) {
      service.calls.push('stop')
      done(service.book)
    },
  }
  return service
}
