/**
 * What is seen of a simulated pool from within, and whom it is told: checks, coverage, operators and those who aim.
 */
import { LicdError } from '../../lib/error.ts'
import type { SeatResult } from '../../lib/protocol/seat.ts'
import type { Host, SeatService } from '../../lib/server/parts.ts'
import { decodeHolding } from '../../lib/service/ask.ts'
import { createSeatService } from '../../lib/service/service.ts'
import type { Logger } from '../../raft/ports.ts'
import type { PoolObserver } from './pool-observer.ts'
import type { PoolWorld } from './pool-world.ts'

export class PoolInsight {
  readonly #world: PoolWorld
  /** The server whose service is at work on what was applied. */
  #acting: string | undefined
  /** Servers that were started with a book of the run before. */
  readonly #hasBook = new Set<string>()

  constructor(world: PoolWorld) {
    this.#world = world
  }

  starting(server: string): void {
    if (this.#world.pool.book(server) !== undefined) this.#hasBook.add(server)
  }

  logger(server: string): Logger {
    const write = (event: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (event === 'lease-lost') this.#world.coverage.note('lease lost')
      else if (event === 'incarnation-over') this.#world.coverage.note('incarnation over')
      else if (event === 'suspended') this.#world.coverage.note('suspended server')
      else if (event === 'serving') {
        this.#world.tell(`${server} serves ${JSON.stringify(fields)}`)
      } else if (event === 'fatal' || wrong.has(event)) {
        const text = `${server}: ${event} ${describe(fields)}`
        this.#world.tell(text)
        const error = fields?.error
        const code = error instanceof LicdError ? error.code : undefined
        if (code === 'LICD_SERVER_REMOVED') this.#world.operators.removed(server)
        else this.#world.fail(new Error(text))
      }
    }
    return { debug() {}, info: write, warn: write, error: write }
  }

  watch(host: Host): SeatService {
    const { server } = host
    const service = createSeatService(host)
    const acting = <T>(run: () => T): T => {
      const before = this.#acting
      this.#acting = server
      try {
        return run()
      } finally {
        this.#acting = before
      }
    }
    return {
      report: service.report,
      readAhead: book => service.readAhead(book),
      start: options => {
        if (options.book !== undefined) this.#world.coverage.note('hand-over consumed')
        else if (this.#hasBook.has(server)) this.#world.coverage.note('hand-over void')
        this.#hasBook.delete(server)
        acting(() => service.start(options))
        this.#world.aims.started(server, options.relearn, options.book !== undefined)
      },
      applied: command => {
        acting(() => service.applied(command))
        this.#world.guard(() => this.#world.checks.gave(server, host.incarnation, command))
      },
      installed: () => {
        this.#world.coverage.note('snapshot installed')
        if (host.ledger.state.moves.size > 0) this.#world.coverage.note('installed with moves')
        if (this.#world.aims.promisesOf(server) > 0)
          this.#world.coverage.note('installed with promises')
        acting(() => service.installed())
      },
      ended: () => acting(() => service.ended()),
      offer: (id, borrow) => {
        const offer = acting(() => service.offer(id, borrow))
        if (offer !== undefined) {
          this.#world.coverage.note('offer made')
          this.#world.aims.offered(server)
        }
        return offer
      },
      settleOffer: id => service.settleOffer(id),
      usage: max => service.usage(max),
      inUse: feature => service.inUse(feature),
      seats: options => service.seats(options),
      stop: done => service.stop(done),
    }
  }

  observer(): PoolObserver {
    const { checks, coverage, aims } = this.#world
    return {
      applying: (ledger, command, index) => {
        const isNew = checks.isNew(index)
        const before = isNew ? coverage.before(ledger, command) : undefined
        const effect = isNew ? this.#world.operators.applying(ledger, command) : undefined
        return ({ result, duplicate }) =>
          this.#world.guard(() => {
            checks.applied(ledger, index, this.#world.now)
            if (before === undefined) return
            coverage.after(before, ledger, command, result, duplicate)
            effect?.(result)
            aims.applied(ledger, command, result, duplicate)
          })
      },
      booked: (stock, how) => {
        this.#world.guard(() => checks.booked(stock, how))
        if (how === 'relearn') coverage.note('relearned seat')
      },
      renewedDark: () => coverage.note('dark seat renewed'),
      released: (_seat, wasRelearned) => {
        coverage.note(wasRelearned ? 'released while relearning' : 'released')
      },
      adopted: stock => {
        if (this.#acting !== undefined) checks.know(this.#acting, stock)
      },
      promised: (id, stock, count) => aims.promised(id, stock, count),
      movedAway: (stock, found) => {
        checks.movedAway(stock, found)
        coverage.note(
          found === 'seat'
            ? 'moved away known'
            : found === 'unknown'
              ? 'moved away while relearning'
              : 'moved away unknown',
        )
      },
      answered: (server, result, subject) => this.#answered(server, result, subject),
      confirmed: () => coverage.note('challenge answered'),
      asked: answer => {
        if (answer === undefined) coverage.note('old server: gone')
        else coverage.note(`old server: ${decodeHolding(answer)?.held ?? 'silent'}`)
      },
      signed: ({ lastTick }) => {
        if (lastTick === 0) coverage.note('token proves nothing')
      },
    }
  }

  #answered(server: string, result: SeatResult, subject: string | undefined): void {
    const { coverage } = this.#world
    switch (result.kind) {
      case 'granted':
        coverage.note(result.seats.length > 1 ? 'granted count > 1' : 'granted')
        return
      case 'renewed':
        coverage.note('renewed')
        return
      case 'challenge':
        coverage.note('challenge asked')
        this.#world.aims.challenged(server, subject)
        return
      case 'pending':
        coverage.note('pending told')
        return
      case 'refused':
        if (result.code === 'LICD_NOT_SERVING' || result.code === 'LICD_NO_LEASE')
          coverage.note('refused not serving')
        if (result.code === 'LICD_OVER_LIMIT') coverage.note('refused over limit')
        if (result.code === 'LICD_NO_MOVE_NOW') coverage.note('no move now')
        return
      case 'released':
      case 'waiting':
    }
  }
}

/** What no server may ever say. */
const wrong = new Set([
  'raft-state-differs',
  'raft-state-wrong',
  'raft-fatal',
  'raft-callback-threw',
  'entry-unreadable',
])

function describe(fields: Readonly<Record<string, unknown>> | undefined): string {
  const error = fields?.error
  if (error instanceof Error) return error.stack ?? error.message
  return JSON.stringify(fields)
}
