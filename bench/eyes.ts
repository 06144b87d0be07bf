/**
 * What being looked at costs: `--parts eyes`. The same pool four times, with and without figures and page (`--http off`),
 * with and without usage history and audit log (a pool of level 1 keeps none), measured side by side in each round.
 *
 * Where there are figures, each server's are read every five seconds, three times as often as Prometheus does mostly, and
 * the page is open at one of them. All four pools run all the time, so that what an idle one costs is taken from all alike.
 */
import { layoutName, workersMax, type Layout, type Row } from './contender.ts'
import { licd, startLicd } from './contenders/licd.ts'
import { cellOf, ratios, spread, type Cell, type SectionTable } from './figures.ts'
import { Fleet, type Sample } from './fleet.ts'
import { warmSeconds } from './rounds.ts'
import { presentOf, type Run } from './sections.ts'

const variants = [
  { title: 'neither', http: 'off', level: 1 },
  { title: 'figures and page', http: '127.0.0.1:0', level: 1 },
  { title: 'history', http: 'off', level: 2 },
  { title: 'both', http: '127.0.0.1:0', level: 2 },
] as const
type Variant = (typeof variants)[number]

const operations: readonly string[] = ['licd.unawaited', 'licd.acquire', 'licd.renew']
const usualLayouts: readonly Layout[] = [
  { processes: 1, inFlight: 16 },
  { processes: 1, inFlight: 256 },
]
const scrapeMs = 5_000

interface Subject {
  readonly variant: Variant
  readonly running: Awaited<ReturnType<typeof startLicd>>
  /** Ends those who look. */
  readonly looking: AbortController
}

export async function measureEyes(run: Run): Promise<SectionTable[]> {
  if (presentOf(run, [licd]).length === 0) return []
  const { layouts, rows } = run.options
  const wanted = usualLayouts.filter(one => layouts.map(layoutName).includes(layoutName(one)))
  const subjects: Subject[] = []
  try {
    for (const variant of variants) subjects.push(await start(run, variant))
    const lines: (string | number)[][] = []
    for (const row of licd.rows.filter(({ id }) => rows?.includes(id) ?? operations.includes(id))) {
      for (const layout of wanted) lines.push(...(await measureRow(run, subjects, row, layout)))
    }
    return [tableOf(lines)]
  } finally {
    for (const { looking } of subjects) looking.abort()
    await Promise.allSettled(subjects.map(({ running }) => running.stop()))
  }
}

async function start(run: Run, variant: Variant): Promise<Subject> {
  run.note(`eyes: starting the pool with ${variant.title}`)
  const features = ['one', ...Array.from({ length: workersMax }, (_, n) => `f${n}`)]
  const { http, level } = variant
  const running = await startLicd(features, { http, level })
  const looking = new AbortController()
  if (http !== 'off') {
    for (const server of running.pool.servers) {
      const { http: url } = await running.pool.ctl<{ http?: string }>(['status'], server)
      if (url === undefined) throw new Error(`${server} has no page`)
      if (server === running.pool.servers[0]) void look(`${url}/api/events`, looking.signal)
      void scrape(`${url}/metrics`, looking.signal)
    }
  }
  return { variant, running, looking }
}

/** A page that is open. */
async function look(url: string, signal: AbortSignal): Promise<void> {
  try {
    const { body } = await fetch(url, { signal })
    for await (const _chunk of body ?? []) if (signal.aborted) return
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function scrape(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await (await fetch(url, { signal })).text()
    } catch (error) {
      if (!signal.aborted) throw error
    }
    await new Promise(resolve => setTimeout(resolve, scrapeMs).unref())
  }
}

async function measureRow(
  run: Run,
  subjects: readonly Subject[],
  row: Row,
  layout: Layout,
): Promise<(string | number)[][]> {
  const { pairs, seconds } = run.options
  const fleets = await Promise.all(
    subjects.map(async ({ variant, running }) => {
      const { address } = running
      const fleet = await Fleet.open({ row, layout, address, servers: () => running.processes() })
      return { variant, fleet, samples: new Array<Sample>() }
    }),
  )
  try {
    for (const { fleet } of fleets) {
      await fleet.measure(warmSeconds)
      await fleet.settle()
    }
    for (let round = 0; round < pairs; round++) {
      run.note(`eyes: ${row.id} ${layoutName(layout)}, round ${round + 1} of ${pairs}`)
      // The order turns from round to round: who comes first is no advantage.
      const at = round % fleets.length
      for (const { fleet, samples } of [...fleets.slice(at), ...fleets.slice(0, at)]) {
        samples.push(await fleet.measure(seconds))
        await fleet.settle()
      }
    }
  } finally {
    await Promise.all(fleets.map(({ fleet }) => fleet.close()))
  }
  const cells = fleets.map(({ variant, samples }) => ({
    variant,
    cell: cellOf(`${row.id} ${variant.title}`, layoutName(layout), samples),
  }))
  const base = cells[0]?.cell
  return base === undefined
    ? []
    : cells.map(({ variant, cell }) => lineOf(row, variant, cell, base))
}

function lineOf(row: Row, { title }: Variant, cell: Cell, base: Cell): (string | number)[] {
  const ratio = spread(ratios(cell, base))
  const rounded = ({ min, median, max }: typeof ratio) =>
    [median, min, max].map(value => value.toFixed(3))
  const failed = Object.values(cell.failures).reduce((sum, count) => sum + count, 0)
  const perSecond = Math.round(spread(cell.perSecond).median)
  const micros = Object.entries(cell.serverMicros)
    .filter(([name]) => name.startsWith('server '))
    .reduce((sum, [, values]) => sum + spread(values).median, 0)
  return [row.id, cell.layout, title, perSecond, ...rounded(ratio), micros.toFixed(1), failed]
}

function tableOf(rows: readonly (readonly (string | number)[])[]): SectionTable {
  return {
    title: 'What figures, page and history cost',
    note: 'Ratios to the pool with neither, round by round: 1 is no cost. Server µs: CPU of the three servers for one operation.',
    head: ['row', 'layout', 'with', 'a second', 'ratio', 'least', 'most', 'server µs', 'failures'],
    rows,
  }
}
