/**
 * `npm run mutants`: puts each mutant before the killers, and tells who found it and after how many seeds.
 *
 * The figure is the median of `--hunts` hunts from different first seeds; "-" says that none of a killer's seeds found
 * it. A mutant that no killer finds ends the program with an error.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { readCommandLine, readNames, readNumber } from '../command-line.ts'
import { hunt, type Bag } from './hunt.ts'
import { writeHints, type Hint, type Hints } from './hints.ts'
import { killers, type KillerPlace } from './killers.ts'
import { control, groupOf, type Mutant } from './mutant.ts'
import { mutants } from './registry.ts'
import { relapse, relapsing, soundness } from './relapse.ts'
import { makeVariant } from './variant.ts'

/** A hunt begins so far from the one before that they share no seed. */
const stride = 100_000
/** What a killer may take for its last hunt of a mutant, and to start; beyond it, it is killed. */
const lastMs = 220_000
/** It begins no other after so many that found nothing. */
const patience = 2

interface Row {
  readonly mutant: Mutant
  readonly bags: ReadonlyMap<string, Bag>
}

const usage = `npm run mutants -- [options]
  --only A,B        these mutants (all)
  --killer A,B      ${killers.map(({ name }) => name).join(', ')} (all)
  --hunts N         of each, from different first seeds (20)
  --seeds N         of a hunt
  --jobs N          processes (2)
  --enough S        seconds after which a killer begins no other hunt of a mutant (20)
  --markdown FILE   where the table goes
  --results FILE    a line of JSON a mutant and killer, as they come; what stands there is not hunted again
  --bugs            puts back the bugs of test/raft/bugs instead, and sees that their regressions fail
  --hints           notes the quickest killers for npm test`
const { values } = readCommandLine(usage, {
  only: { type: 'string' },
  killer: { type: 'string' },
  hunts: { type: 'string' },
  seeds: { type: 'string' },
  jobs: { type: 'string' },
  enough: { type: 'string' },
  markdown: { type: 'string' },
  results: { type: 'string' },
  bugs: { type: 'boolean', default: false },
  hints: { type: 'boolean', default: false },
})
const chosen = named(mutants, values.only)
const sent = named(killers, values.killer)
const hunts = readNumber(usage, values.hunts, 20)
const enoughMs = readNumber(usage, values.enough, 20) * 1_000

function named<Named extends { readonly name: string }>(
  all: readonly Named[],
  text: string | undefined,
): Named[] {
  const names = readNames(
    usage,
    text?.split(',') ?? [],
    all.map(({ name }) => name),
  )
  return all.filter(({ name }) => names.includes(name))
}

function sentTo(mutant: Mutant): KillerPlace[] {
  return sent.filter(killer => groupOf(killer) === groupOf(mutant))
}

type Result = Bag & { readonly mutant: string; readonly killer: string }

/** Of earlier runs, by mutant and killer. */
const known = new Map(
  readResults().map(result => [`${result.mutant} ${result.killer}`, result] as const),
)

function readResults(): Result[] {
  if (values.results === undefined || !existsSync(values.results)) return []
  const lines = readFileSync(values.results, 'utf8').split('\n')
  return lines.filter(line => line !== '').map(line => JSON.parse(line) as Result)
}

async function examine(mutant: Mutant): Promise<Row> {
  const bags = new Map<string, Bag>()
  for (const { name } of sentTo(mutant)) {
    const bag = known.get(`${mutant.name} ${name}`)
    if (bag !== undefined) bags.set(name, bag)
  }
  const left = sentTo(mutant).filter(({ name }) => !bags.has(name))
  if (left.length === 0) return { mutant, bags }
  const variant = makeVariant(mutant)
  try {
    for (const killer of left) {
      const bag = await send(variant.folder, killer)
      bags.set(killer.name, bag)
      if (values.results !== undefined) {
        const line: Result = { mutant: mutant.name, killer: killer.name, ...bag }
        appendFileSync(values.results, `${JSON.stringify(line)}\n`)
      }
    }
  } finally {
    variant.remove()
  }
  return { mutant, bags }
}

function send(folder: string, { module, seeds, isFixed }: KillerPlace): Promise<Bag> {
  const count = isFixed === true ? 1 : hunts
  const starts = Array.from({ length: count }, (_, n) => n * stride)
  const most = values.seeds === undefined || isFixed === true ? seeds : Number(values.seeds)
  return hunt([{ folder, module, starts, seeds: most, patience, ms: enoughMs }], enoughMs + lastMs)
}

/** After how many seeds, in the median; `undefined` when half the hunts found nothing. */
function median({ hunts: all }: Bag): number | undefined {
  const found = all.map(({ after, broken }) => (broken === true ? Infinity : (after ?? Infinity)))
  const value = found.sort((a, b) => a - b)[Math.floor((found.length - 1) / 2)]
  return value === undefined || value === Infinity ? undefined : value
}

function cell({ isFixed }: KillerPlace, bag: Bag | undefined): string {
  if (bag === undefined) return ''
  const value = median(bag)
  const note = bag.trouble === undefined ? '' : ' !'
  const figure = isFixed === true ? 'yes' : String(value)
  return `${value === undefined ? '-' : figure}${note}`
}

function isFound({ bags }: Row): boolean {
  return [...bags.values()].some(bag => median(bag) !== undefined)
}

function findingOf({ bags }: Row): string {
  const first = [...bags.values()].find(bag => median(bag) !== undefined)
  const by = first?.hunts.find(one => one.after !== undefined && one.broken !== true)?.by
  return (by ?? 'survives').replaceAll('|', '/').slice(0, 90)
}

/** The first killer that found it, in the order in which they stand: the quick ones first. */
function hintOf({ bags }: Row): Hint | undefined {
  for (const { name, isFixed } of sent) {
    const found = bags
      .get(name)
      ?.hunts.filter(one => one.broken !== true && one.after !== undefined)
    const [quickest] = (found ?? []).sort((a, b) => (a.after ?? 0) - (b.after ?? 0))
    if (quickest?.after === undefined) continue
    // A transcript tells its file first.
    if (isFixed === true) return { killer: name, test: quickest.by?.split(':', 1)[0] ?? '' }
    return { killer: name, seed: quickest.start + quickest.after - 1 }
  }
  return undefined
}

function markdown(rows: readonly Row[]): string {
  const groups = [...new Set(rows.map(({ mutant }) => groupOf(mutant)))]
  const tables = groups.map(group => table(rows.filter(row => groupOf(row.mutant) === group)))
  return tables.join('\n\n')
}

/** Of mutants of one group. */
function table(rows: readonly Row[]): string {
  const hunters = rows[0] === undefined ? [] : sentTo(rows[0].mutant)
  const head = ['mutant', 'bugs', ...hunters.map(({ name }) => name), 'found as']
  const lines = rows.map(row => {
    const { mutant, bags } = row
    const cells = hunters.map(killer => cell(killer, bags.get(killer.name)))
    return [mutant.name, mutant.ids.join(' '), ...cells, findingOf(row)]
  })
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n')
}

function report(row: Row): void {
  const cells = sentTo(row.mutant).map(
    killer => `${killer.name} ${cell(killer, row.bags.get(killer.name))}`,
  )
  const ms = [...row.bags.values()].reduce((sum, bag) => sum + bag.ms, 0)
  const trouble = [...row.bags.values()].flatMap(bag => bag.trouble ?? []).join('; ')
  console.log(`${row.mutant.name}: ${cells.join(', ')} (${Math.round(ms)} ms) ${trouble}`)
}

async function all<T>(work: (mutant: Mutant) => Promise<T>, of: readonly Mutant[]): Promise<T[]> {
  const results: T[] = []
  const queue = [...of]
  const jobs = Array.from({ length: readNumber(usage, values.jobs, 2) }, async () => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      results.push(await work(mutant))
    }
  })
  await Promise.all(jobs)
  return results
}

/** Known bugs, put back: each fails its regression. */
async function relapses(): Promise<boolean> {
  const found = await soundness()
  if (found.length > 0) console.log(`The product itself fails: ${found.join('; ')}`)
  let isGood = found.length === 0
  await all(
    async mutant => {
      const { rows, trouble, ms } = await relapse(mutant)
      const missed = rows.filter(row => row.found === undefined)
      if (missed.length > 0 || trouble !== undefined) isGood = false
      const by = missed.map(({ row }) => `NOT SEEN by ${row}`).join(', ') || 'seen'
      console.log(`${mutant.name}: ${by} (${Math.round(ms)} ms) ${trouble ?? ''}`)
    },
    relapsing().filter(mutant => chosen.includes(mutant)),
  )
  return isGood
}

/** Mutants before killers. */
async function hunted(): Promise<boolean> {
  // What killers find in the product as it is would make every mutant look found.
  for (const group of new Set(chosen.map(groupOf))) {
    const sound = await examine({ ...control, group })
    if (!isFound(sound)) continue
    console.log(`The product itself fails: ${findingOf(sound)}`)
    return false
  }
  const rows = await all(async mutant => {
    const row = await examine(mutant)
    report(row)
    return row
  }, chosen)
  const ordered = chosen.flatMap(mutant => rows.find(row => row.mutant === mutant) ?? [])
  const text = markdown(ordered)
  console.log(`\n${text}`)
  if (values.hints) {
    const hints = ordered.map(row => [row.mutant.name, hintOf(row)] as const)
    writeHints(Object.fromEntries(hints.filter(([, hint]) => hint !== undefined)) as Hints)
  }
  if (values.markdown !== undefined) writeFileSync(values.markdown, `${text}\n`)
  const survivors = ordered.filter(row => !isFound(row))
  console.log(`\n${ordered.length - survivors.length} of ${ordered.length} mutants found`)
  if (survivors.length === 0) return true
  console.log(`Not found: ${survivors.map(({ mutant }) => mutant.name).join(', ')}`)
  return false
}

if (!(await (values.bugs ? relapses() : hunted()))) process.exitCode = 1
