/**
 * Codes, keys and the calendar alone, by figures that anybody may draw; what must be true of them is looked at after
 * every command. The whole ledger's model (`model.ts`) comes across a renewal too seldom.
 */
import type { CodeContent, CommandBody } from '../../lib/ledger/command.ts'
import { checkCodes } from './code-rules.ts'
import { codeOf, content, epoch, Pool, vendor } from './pool.ts'

export type CodeStep = readonly [kind: number, x: number, y: number, z: number]

/** The first two are of one vendor. */
const kids = [vendor.kid, 'kid-2', 'kid-other'] as const

export class CodeModel {
  readonly #pool = new Pool()
  #seconds = 0

  constructor() {
    this.#pool.run({ type: 'add-vendor', vendor: { ...vendor, kid: 'kid-2' }, sameAs: vendor.kid })
    this.#pool.run({ type: 'add-vendor', vendor: { ...vendor, kid: 'kid-other' } })
  }

  /** Answers `tick`, `ok` or the code of the refusal. */
  do(step: CodeStep): string {
    const body = this.#bodyOf(step)
    const outcome = body === undefined ? this.#tick(step) : codeOf(this.#pool.run(body))
    checkCodes(this.#pool.ledger.state)
    return outcome
  }

  #tick([, x]: CodeStep): string {
    this.#seconds += x % 90
    const wall = epoch + this.#seconds * 1_000
    const walls = Object.fromEntries(['a', 'b', 'c'].map(name => [name, wall]))
    this.#pool.tick(undefined, walls)
    return 'tick'
  }

  /** `undefined` for a tick. */
  #bodyOf([kind, x, y, z]: CodeStep): CommandBody | undefined {
    const of = kind % 14
    if (of < 5) return undefined
    if (of < 7) return { type: 'remove-code', codeId: `c${String(x % 7)}` }
    if (of < 8) return { type: 'revoke-vendor', kid: kids[x % 3] ?? vendor.kid }
    const startsAt = epoch + ((y % 230) - 30) * 1_000
    const change: Partial<CodeContent> = {
      codeId: `c${String(x % 7)}`,
      kid: z % 6 === 0 ? 'kid-other' : (kids[z % 2] ?? vendor.kid),
      feature: z % 6 === 0 ? 'cam' : z % 5 === 0 ? 'sim' : 'cad',
      allocations: 1 + (x % 7),
      startsAt,
      ...(y % 4 === 0 ? {} : { expiresAt: startsAt + (1 + (z % 300)) * 1_000 }),
      ...(x % 3 === 0 ? {} : { renews: `c${String((x + y) % 7)}` }),
    }
    return { type: 'add-code', text: '', content: content(change) }
  }
}
