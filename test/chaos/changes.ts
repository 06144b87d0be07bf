/** What operators change while the pool is under fire, with every outcome written down. */
import { signCode } from '../../lib/code/sign.ts'
import type { VendorSigner } from '../../lib/code/vendor-key.ts'
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { LicdError } from '../../lib/error.ts'
import type { SeededRandom } from '../sim/seeded-random.ts'
import { type ChangeKind, type HistoryWriter, now } from './history.ts'

interface Parts {
  readonly operators: readonly CtlClient[]
  readonly history: HistoryWriter
  readonly random: SeededRandom
  readonly servers: readonly string[]
  readonly signer: VendorSigner
  readonly fingerprint: string
  readonly local: Readonly<Record<string, number>>
  readonly vendored: string
  readonly vendoredStart: number
  /** The pool remembers an id for so long at least. */
  readonly rememberedMs: number
}

interface What {
  readonly change: ChangeKind
  readonly feature: string
  readonly adds: number
  readonly codeId?: string
}

/** Sent to the pool, for one attempt or more. */
type Send = (ctl: CtlClient, id: string) => Promise<{ revision: number; duplicate: boolean }>

/** Says nothing of how the change ended. */
const silence: ReadonlySet<string> = new Set([
  'LICD_UNKNOWN_OUTCOME',
  'LICD_NO_SERVER',
  'LICD_NO_LEADER',
  'LICD_NATS_UNREACHABLE',
  'LICD_TIMEOUT',
  'LICD_TOO_BUSY',
  'LICD_CLOSED',
  'LICD_INTERNAL',
])
const codeAllocations = 4
/** Below so many codes that nobody removed yet, none is removed. */
const codesMin = 1
const codesMax = 4
const longAgoMs = 60_000

export class Changes {
  readonly #parts: Parts
  /** Id -> when it was sent. */
  readonly #unknown = new Map<string, number>()
  readonly #working: Promise<void>[] = []
  #isStorming = false
  #count = 0
  /** Codes made so far; the newest few may not have been added yet. */
  #codes = 0
  readonly #removed = new Set<string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The features that the run begins with. */
  async found(): Promise<void> {
    const [first] = this.#parts.operators
    if (first === undefined) return
    const { vendored, vendoredStart } = this.#parts
    for (const [feature, allocations] of Object.entries(this.#parts.local)) {
      const what = { change: 'feature-add', feature, adds: allocations } as const
      const send: Send = (ctl, id) => ctl.change('feature-add', { feature, allocations }, id)
      await this.#insist(first, what, send)
    }
    const text = this.#sign('base', 'feature', vendoredStart)
    const what = { change: 'code-add', feature: vendored, adds: vendoredStart, codeId: 'base' }
    await this.#insist(first, what as What, (ctl, id) => ctl.change('code-add', { text }, id))
  }

  /** The pool is new and may have no leader yet: the same id goes on until it is taken. */
  async #insist(ctl: CtlClient, what: What, send: Send): Promise<void> {
    const id = this.#call(what, 'found')
    for (;;) {
      if ((await this.#attempt(ctl, id, send)) !== undefined) return
    }
  }

  storm(): void {
    this.#isStorming = true
    for (const n of this.#parts.operators.keys()) this.#working.push(this.#operate(n))
    this.#working.push(this.#ask())
  }

  async #operate(n: number): Promise<void> {
    const { operators, random } = this.#parts
    const own = operators[n]
    while (this.#isStorming && own !== undefined) {
      const [what, send] = await this.#choose()
      const id = this.#call(what, `operator-${n}`)
      const revision = await this.#attempt(own, id, send)
      const isRepeated = revision !== undefined && random.chance(0.3)
      if (isRepeated) await this.#again(random.pick(operators), id, send)
      await pause(500 + 1_500 * random.next())
    }
  }

  /** Before the pool forgets them. */
  async #ask(): Promise<void> {
    while (this.#isStorming) {
      await pause(5_000)
      await this.settle(false, 5_000)
    }
  }

  async #choose(): Promise<readonly [What, Send]> {
    const { random, local, vendored } = this.#parts
    const dice = random.next()
    if (dice < 0.2) {
      const feature = random.pick(Object.keys(local))
      const count = random.between(1, 2)
      const what = { change: 'allocations-add', feature, adds: count } as const
      return [what, (ctl, id) => ctl.change('allocations-add', { feature, count }, id)]
    }
    if (dice < 0.4) {
      const feature = random.pick([...Object.keys(local), vendored])
      const targets = random.chance(0.4) ? 'even' : this.#targets(random)
      const what = { change: 'criteria-set', feature, adds: 0 } as const
      return [what, (ctl, id) => ctl.change('criteria-set', { feature, targets }, id)]
    }
    const there = [...Array(this.#codes).keys()].map(n => `code-${n}`)
    const left = there.filter(codeId => !this.#removed.has(codeId))
    const isMany = left.length >= codesMax
    if (left.length > codesMin && (isMany || dice < 0.65)) {
      // Now and then one that somebody else has removed, or is about to.
      const codeId = random.pick(random.chance(0.3) ? there : left)
      this.#removed.add(codeId)
      const what = { change: 'code-remove', feature: vendored, adds: 0, codeId } as const
      return [what, (ctl, id) => ctl.change('code-remove', { codeId }, id)]
    }
    const codeId = `code-${random.chance(0.7) ? this.#codes++ : Math.max(0, this.#codes - 1)}`
    const text = this.#sign(codeId, 'allocations', codeAllocations)
    const what = { change: 'code-add', feature: vendored, adds: codeAllocations, codeId } as const
    return [what, (ctl, id) => ctl.change('code-add', { text }, id)]
  }

  #targets(random: SeededRandom): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.#parts.servers.map(server => [server, random.between(0, 20)] as const),
    )
  }

  #sign(codeId: string, kind: 'feature' | 'allocations', allocations: number): string {
    const { signer, fingerprint, vendored: feature } = this.#parts
    const customer = 'chaos'
    const times = { startsAt: Date.now() - 86_400_000, issuedAt: Date.now() - 86_400_000 }
    const order = { codeId, kind, allocations, fingerprint, feature, customer, ...times }
    return signCode(order, signer)
  }

  #call(what: What, by: string): string {
    const id = `change-${this.#count++}`
    const t = now()
    this.#parts.history.write({ k: 'call', t, id, by, ...what })
    this.#unknown.set(id, t)
    return id
  }

  /** The revision at which it took effect, if that was told. */
  async #attempt(ctl: CtlClient, id: string, send: Send): Promise<number | undefined> {
    const { history } = this.#parts
    try {
      const { revision } = await send(ctl, id)
      history.write({ k: 'return', t: now(), id, revision })
      this.#unknown.delete(id)
      return revision
    } catch (error) {
      const refusal = codeOf(error)
      if (silence.has(refusal)) history.write({ k: 'return', t: now(), id })
      else {
        history.write({ k: 'return', t: now(), id, refusal })
        this.#unknown.delete(id)
      }
      return undefined
    }
  }

  async #again(ctl: CtlClient, id: string, send: Send): Promise<void> {
    const { history } = this.#parts
    try {
      const { revision, duplicate } = await send(ctl, id)
      history.write({ k: 'again', t: now(), id, revision, duplicate })
    } catch (error) {
      const refusal = codeOf(error)
      if (silence.has(refusal)) history.write({ k: 'again', t: now(), id })
      else history.write({ k: 'again', t: now(), id, refusal })
    }
  }

  /** Ends the changes; resolves when the last of them has returned. */
  async end(): Promise<void> {
    this.#isStorming = false
    await Promise.all(this.#working)
  }

  /**
   * Asks what became of those that nobody answered; how many are not known even then.
   *
   * `isOver`: no message of any of them can be on its way any more. Otherwise that is believed of those sent long ago
   * alone: the longest that anything holds a message up in a run is some seconds.
   */
  async settle(isOver: boolean, withinMs: number): Promise<number> {
    const [first] = this.#parts.operators
    const end = now() + withinMs
    for (const [id, calledAt] of [...this.#unknown]) {
      if (!isOver && now() - calledAt < longAgoMs) continue
      while (first !== undefined && now() < end && !(await this.#settleOne(first, id, calledAt))) {
        await pause(300)
      }
    }
    return this.#unknown.size
  }

  async #settleOne(ctl: CtlClient, id: string, calledAt: number): Promise<boolean> {
    const { history } = this.#parts
    try {
      const { outcome, result } = await ctl.ask('outcome', { id })
      // Later than that the pool may have forgotten an id that it knew.
      const isForgotten = now() - calledAt > this.#parts.rememberedMs
      if (outcome === 'unknown' && isForgotten) return true
      this.#unknown.delete(id)
      const told = {
        ...(result?.ok === true ? { revision: result.revision } : {}),
        ...(result?.ok === false ? { refusal: result.code } : {}),
      }
      const ended = outcome === 'unknown' ? 'never' : outcome
      history.write({ k: 'settled', t: now(), id, outcome: ended, ...told })
      return true
    } catch {
      return false
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof LicdError ? error.code : 'LICD_INTERNAL'
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => void setTimeout(resolve, ms))
}
