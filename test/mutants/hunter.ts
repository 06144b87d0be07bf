/**
 * The program that hunts within one build: it runs a killer over seeds until that throws, as often as asked.
 *
 * Each hunt ends in a line on the standard output, at once, so that a hunter which has to be killed has said what it
 * found before. It runs as a process of its own, because a bug may well be an endless loop.
 */
import { AssertionError } from 'node:assert/strict'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import type { Killer } from './killers.ts'
import { build } from './variant.ts'

export interface Orders {
  /** Module of the killer, relative to the build. */
  readonly module: string
  /** The first seed of each hunt. */
  readonly starts: readonly number[]
  /** Seeds a hunt. */
  readonly seeds: number
  /** No further hunt once so many have found nothing, nor after so many ms. */
  readonly patience: number
  readonly ms: number
  /** What the killer is to choose from, where it can. */
  readonly tests?: readonly string[]
}

/** `after` so many seeds, or never; `broken` when what it threw is no finding. */
export interface Hunt {
  readonly start: number
  readonly after?: number
  readonly by?: string
  readonly broken?: boolean
}

async function main(orders: Orders): Promise<void> {
  const path = pathToFileURL(join(build, orders.module)).href
  const loaded = (await import(path)) as {
    readonly killer: Killer
    readonly killerOf?: (tests: readonly string[]) => Killer
  }
  const killer = loaded.killerOf?.(orders.tests ?? []) ?? loaded.killer
  const begun = performance.now()
  let vain = 0
  for (const start of orders.starts) {
    const hunt = await hunted(killer, start, orders.seeds)
    process.stdout.write(`${JSON.stringify(hunt)}\n`)
    if (hunt.after === undefined) vain += 1
    if (vain >= orders.patience || performance.now() - begun > orders.ms) return
  }
}

async function hunted(killer: Killer, start: number, seeds: number): Promise<Hunt> {
  for (let n = 0; n < seeds; n++) {
    try {
      await killer.run(start + n)
    } catch (error) {
      return { start, after: n + 1, ...finding(error) }
    }
  }
  return { start }
}

/** A killer finds by assertion: anything else, a TypeError say, tells that the patch is nonsense. */
function finding(error: unknown): Pick<Hunt, 'by' | 'broken'> {
  const asserted = assertionIn(error)
  const shown = asserted ?? error
  const by = (shown instanceof Error ? shown.message : String(shown)).split('\n', 1)[0] ?? ''
  return asserted === undefined ? { by, broken: true } : { by }
}

function assertionIn(error: unknown): AssertionError | undefined {
  if (error instanceof AssertionError) return error
  return error instanceof Error ? assertionIn(error.cause) : undefined
}

const [orders] = process.argv.slice(2)
if (orders !== undefined) await main(JSON.parse(orders) as Orders)
