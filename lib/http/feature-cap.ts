/**
 * Which features have figures of their own: the first `max`, those with most allocations first; all others are
 * summed under one label, which no feature can have as its name.
 *
 * Once chosen a feature stays until the pool has it no more, so that a counter never falls because another grew.
 */
export const otherFeatures = '(other)'

export class FeatureCap {
  readonly #max: number
  readonly #chosen = new Set<string>()

  constructor(max: number) {
    this.#max = max
  }

  /** Takes the pool's features as they are now. */
  choose(features: ReadonlyMap<string, { readonly allocations: number }>): void {
    for (const name of this.#chosen) if (!features.has(name)) this.#chosen.delete(name)
    const room = this.#max - this.#chosen.size
    if (room <= 0 || this.#chosen.size === features.size) return
    const fresh = [...features].filter(([name]) => !this.#chosen.has(name))
    fresh.sort(([a, { allocations: m }], [b, { allocations: n }]) => n - m || (a < b ? -1 : 1))
    for (const [name] of fresh.slice(0, room)) this.#chosen.add(name)
  }

  label(feature: string): string {
    return this.#chosen.has(feature) ? feature : otherFeatures
  }
}
