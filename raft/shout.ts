/**
 * What an operator must hear of, of all that the core tells: whose word counts no more, or again, and what no correct
 * server can have said.
 *
 * Whoever forges messages may send many: of the same kind, sender and term one in a row is told.
 */
import type { Effects, Violation } from './core/effect.ts'
import type { Logger } from './ports.ts'

export class Shouter {
  readonly #id: string
  readonly #log: Logger
  #last = ''

  constructor(id: string, log: Logger) {
    this.#id = id
    this.#log = log
  }

  /** `damage`: what was found to be wrong with the own disk. */
  shout({ trust, regressed, violations }: Effects, damage: string | undefined): void {
    const id = this.#id
    if (trust?.kind === 'full') this.#log.info('raft-trusted', { id })
    else if (trust !== undefined) {
      this.#log.error('raft-quarantined', { id, trust: trust.kind, damage })
    }
    for (const server of regressed) this.#log.error('raft-lost-entries', { server })
    for (const violation of violations) this.#violated(violation)
  }

  #violated({ property, from, term }: Violation): void {
    const text = `${property} ${from} ${term}`
    if (text === this.#last) return
    this.#last = text
    this.#log.error('raft-violation', { code: 'RAFT_VIOLATION', property, from, term })
  }
}
