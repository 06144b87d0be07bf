/**
 * `npm run mutants`: puts each mutant before the killers, and tells who found it and after how many seeds.
 *
 * The figure is the median of `--hunts` hunts from different first seeds; "-" says that none of a killer's seeds
 * found it. A mutant that no killer finds ends the program with an error.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { hunt, type Bag } from './hunt.ts'
import { killers, type KillerPlace } from './killers.ts'
import type { Mutant } from './mutant.ts'
import { mutants } from './registry.ts'
import { makeVariant } from './variant.ts'

/** A hunt begins so far from the one before that they share no seed. */
const stride = 100_000
/** What a killer may take for all its hunts of one mutant. */
const limitMs = 180_000

interface Row {
  readonly mutant: Mutant
  readonly bags: ReadonlyMap<string, Bag>
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    killer: { type: 'string' },
    hunts: { type: 'string', default: '20' },
    seeds: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    markdown: { type: 'string' },
  },
})
const asked = values.only?.split(',')
const chosen = mutants.filter(({ name }) => asked === undefined || asked.includes(name))
const sent = killers.filter(({ name }) => values.killer === undefined || values.killer === name)
const hunts = Number(values.hunts)

async function examine(mutant: Mutant): Promise<Row> {
  const variant = makeVariant(mutant)
  const bags = new Map<string, Bag>()
  try {
    for (const killer of sent) bags.set(killer.name, await send(variant.folder, killer))
  } finally {
    variant.remove()
  }
  return { mutant, bags }
}

function send(folder: string, { module, seeds }: KillerPlace): Promise<Bag> {
  const starts = seeds === 1 ? [0] : Array.from({ length: hunts }, (_, n) => n * stride)
  const most = seeds === 1 || values.seeds === undefined ? seeds : Number(values.seeds)
  return hunt(folder, { module, starts, seeds: most, patience: 2 }, limitMs)
}

/** After how many seeds, in the median; `undefined` when half the hunts found nothing. */
function median({ hunts: all }: Bag): number | undefined {
  const found = all.map(({ after, broken }) => (broken === true ? Infinity : (after ?? Infinity)))
  const value = found.sort((a, b) => a - b)[Math.floor((found.length - 1) / 2)]
  return value === undefined || value === Infinity ? undefined : value
}

function cell(bag: Bag | undefined): string {
  if (bag === undefined) return ''
  const value = median(bag)
  const note = bag.trouble === undefined ? '' : ' !'
  return `${value === undefined ? '-' : String(value)}${note}`
}

function isFound({ bags }: Row): boolean {
  return [...bags.values()].some(bag => median(bag) !== undefined)
}

function markdown(rows: readonly Row[]): string {
  const head = ['mutant', 'bugs', ...sent.map(({ name }) => name), 'found as']
  const lines = rows.map(({ mutant, bags }) => {
    const first = [...bags.values()].find(bag => median(bag) !== undefined)
    const by = first?.hunts.find(one => one.after !== undefined)?.by ?? 'survives'
    const cells = sent.map(({ name }) => cell(bags.get(name)))
    return [mutant.name, mutant.ids.join(' '), ...cells, by.replaceAll('|', '/').slice(0, 90)]
  })
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n')
}

const rows: Row[] = []
const queue = [...chosen]
await Promise.all(
  Array.from({ length: Number(values.jobs) }, async () => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const row = await examine(mutant)
      rows.push(row)
      const cells = sent.map(({ name }) => `${name} ${cell(row.bags.get(name))}`)
      const ms = [...row.bags.values()].reduce((sum, bag) => sum + bag.ms, 0)
      const trouble = [...row.bags.values()].flatMap(bag => bag.trouble ?? []).join('; ')
      console.log(`${mutant.name}: ${cells.join(', ')} (${Math.round(ms)} ms) ${trouble}`)
    }
  }),
)
const ordered = chosen.flatMap(mutant => rows.find(row => row.mutant === mutant) ?? [])
const text = markdown(ordered)
console.log(`\n${text}`)
if (values.markdown !== undefined) writeFileSync(values.markdown, `${text}\n`)
const survivors = ordered.filter(row => !isFound(row))
console.log(`\n${ordered.length - survivors.length} of ${ordered.length} mutants found`)
if (survivors.length > 0) {
  console.log(`Not found: ${survivors.map(({ mutant }) => mutant.name).join(', ')}`)
  process.exitCode = 1
}
