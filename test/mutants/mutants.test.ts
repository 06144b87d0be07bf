/**
 * The mutants within a bounded time: each dies by the quickest killer known (hints.json, which `npm run mutants --
 * --hints` writes), and each known bug that it puts back fails its regression.
 *
 * Only killers that play no chance are asked here, and the ledger's models, which need few seeds: of others a seed that
 * found a bug in one build may miss it in the next.
 * `npm run mutants` sends all killers to all mutants, with many seeds, and prints what they find.
 */
import t from 'tap'
import { readHints, type Hint } from './hints.ts'
import { hunt } from './hunt.ts'
import type { Hunt, Orders } from './hunter.ts'
import { killerNamed } from './killers.ts'
import { control, type Mutant } from './mutant.ts'
import { mutants } from './registry.ts'
import { relapseOrders, relapsesIn } from './relapse.ts'
import { build, makeVariant } from './variant.ts'

/** So many mutants share a process: its start costs more than most hunts. */
const together = 8
const limitMs = 240_000
/** A change of a simulator moves what its seeds find: so many from the one that found it are tried. */
const near = 40

const steady = new Set([
  ...['transcripts', 'scenarios', 'explorer', 'schedules', 'pool stories', 'ledger model'],
  'code model',
])
const hints = Object.fromEntries(
  Object.entries(readHints()).filter(([, { killer }]) => steady.has(killer)),
)

/** What the hint says, in the mutant's build. */
function hintOrders(folder: string, { killer, test, seed = 0 }: Hint): Orders {
  const { module } = killerNamed(killer)
  const orders = { folder, module, patience: 1, ms: limitMs }
  return test === undefined
    ? { ...orders, starts: [seed], seeds: near }
    : { ...orders, tests: [test], starts: [0], seeds: 1 }
}

interface Finding {
  readonly mutant: Mutant
  readonly killed: Hunt | undefined
  readonly relapses: ReturnType<typeof relapsesIn>
}

/** Sends one hunter into the builds of several mutants. A hang or a broken patch is told as what it is. */
async function examine(some: readonly Mutant[]): Promise<Finding[]> {
  const variants = some.map(makeVariant)
  try {
    const orders = some.flatMap((mutant, n) => {
      const folder = variants[n]?.folder ?? ''
      const hint = hints[mutant.name]
      return [
        hint === undefined ? relapseOrders(control, folder) : hintOrders(folder, hint),
        relapseOrders(mutant, folder),
      ]
    })
    const { hunts, trouble } = await hunt(orders, limitMs)
    // A hunter that could not go on finds nothing: that is not to look as if there were nothing to find.
    if (trouble !== undefined) t.comment(`${some.map(({ name }) => name).join(' ')}: ${trouble}`)
    return some.map((mutant, n) => ({
      mutant,
      killed: hunts.find(({ order, after }) => order === 2 * n && after !== undefined),
      relapses: relapsesIn(
        mutant,
        hunts.filter(({ order }) => order === 2 * n + 1),
      ),
    }))
  } finally {
    for (const variant of variants) variant.remove()
  }
}

// Some hundreds of builds, each with its hunts: minutes of a slow machine.
t.setTimeout(1_200_000)

const queue = [...mutants]
const findings: Finding[] = []
const hunters = Array.from({ length: 2 }, async () => {
  for (let some = queue.splice(0, together); some.length > 0; some = queue.splice(0, together)) {
    findings.push(...(await examine(some)))
  }
})
await Promise.all(hunters)

t.test('every mutant is killed that needs no chance to be', async t => {
  const left: string[] = []
  for (const { mutant, killed, relapses } of findings) {
    const { name, doc } = mutant
    if (hints[name] !== undefined) {
      t.ok(killed !== undefined && killed.broken !== true, `${name}: ${doc} ${killed?.by ?? ''}`)
    } else if (relapses.length === 0) left.push(name)
  }
  t.equal(findings.length, mutants.length)
  t.comment(`left to npm run mutants: ${left.join(', ')}`)
})

t.test('every known bug that is put back fails its regression', async t => {
  for (const { mutant, relapses } of findings) {
    for (const { row, found } of relapses) t.ok(found, `${row} by ${mutant.name}: ${found ?? ''}`)
  }
})

t.test('the product as it is passes what kills the mutants', async t => {
  const told = new Set<string>()
  const orders = mutants.flatMap(({ name }) => {
    const hint = hints[name]
    const key = JSON.stringify(hint)
    if (hint === undefined || told.has(key)) return []
    told.add(key)
    return [{ ...hintOrders(build, hint), seeds: 1 }]
  })
  const { hunts, trouble } = await hunt(orders, 4 * limitMs)
  t.equal(trouble, undefined)
  t.strictSame(
    hunts.filter(({ after }) => after !== undefined),
    [],
  )
  t.equal(hunts.length, orders.length)
})
