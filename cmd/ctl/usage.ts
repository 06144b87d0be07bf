/** `licd ctl usage`: what was used, granted and denied, and how many seats would have been enough. */
import { writeFile } from 'node:fs/promises'
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import {
  byDay,
  pointsMax,
  readUsage,
  seatsNeeded,
  type UsagePoint,
  type UsageSeries,
} from '../../lib/ctl/usage.ts'
import { usageReport } from '../../lib/ctl/usage-report.ts'
import { LicdError } from '../../lib/error.ts'
import { denialReasons } from '../../lib/ledger/history.ts'
import { isFeatureName } from '../../lib/protocol/subject.ts'
import { systemClock } from '../../raft/system.ts'
import { defineCommand, usage } from '../command.ts'
import type { Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatTable } from '../table.ts'
import { readDate } from '../vendor/sign.ts'
import { chartOf } from './chart.ts'

const units = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const
type By = keyof typeof units
/** What is shown when no `--from` says otherwise. */
const usualMs = { minute: 3_600_000, hour: 2 * units.day, day: 31 * units.day } as const
const formats = ['table', 'chart', 'csv', 'needed'] as const
const tableMax = 1_000

export const usageCommand = defineCommand({
  command: 'usage [feature]',
  describe: 'Show what was used, granted and denied, and how many seats would have been enough',
  positionals: {
    feature: { type: 'string', describe: 'Of this feature only' },
  },
  options: {
    ...sessionOptions,
    from: { type: 'string', describe: 'From then on: 2026-01-31, 2026-01-31T12:00Z, 7d, 12h' },
    to: { type: 'string', describe: 'Until then; the present when absent' },
    by: {
      type: 'string',
      choices: Object.keys(units),
      describe: 'A row for each',
      default: 'hour',
    },
    format: { type: 'string', choices: formats, describe: 'How it is shown', default: 'table' },
    report: { type: 'string', describe: 'Write a page (HTML) with charts to this file instead' },
  },
  examples: [
    ['ctl usage cad', 'the last two days, an hour a line'],
    ['ctl usage --from 90d --by day --format csv > usage.csv', 'for a spreadsheet'],
    ['ctl usage cad --from 30d --format needed', 'how many seats should we buy?'],
    ['ctl usage --from 365d --report usage.html', 'a page for whoever decides that'],
  ],
  epilogue:
    'Minutes are kept for 7 days, hours for 3 years, 200,000 of each that differ from the one before. IN USE is the ' +
    'most at any tick. Times are UTC, by the pool\u2019s calendar.',
  run: async (args, program) => {
    const by = byOf(args.by)
    const { feature, format, report } = args
    if (feature !== undefined && !isFeatureName(feature)) throw usage('That is no feature name.')
    const now = systemClock.wall()
    const to = args.to === undefined ? now + units.day : readMoment('--to', args.to, now)
    const from = args.from === undefined ? now - usualMs[by] : readMoment('--from', args.from, now)
    if (from >= to) throw usage('--from must lie before --to.')
    if ((to - from) / units[by] > pointsMax) {
      throw usage(`That is more than ${pointsMax} rows a feature: choose --by hour or --by day.`)
    }
    return await withSession(args, program.environment, async ({ client }) => {
      const range = { from, to, ...(feature === undefined ? {} : { feature }) }
      const all = await seriesOf(client, by, range)
      if (report !== undefined) {
        await write(report, usageReport({ pool: client.pool, by, from, to: now, series: all }))
        program.note(`${report}: ${all.length} features`)
      } else if (args.json) printJson(program, all)
      else print(program, format, by, all)
      return 0
    })
  },
})

function byOf(text: string): By {
  return text === 'minute' || text === 'day' ? text : 'hour'
}

/** A date, or so long ago. */
function readMoment(option: string, text: string, now: number): number {
  const [, count, unit] = /^(\d{1,6})([dhm])$/.exec(text) ?? []
  if (count === undefined) return readDate(option, text)
  const ms = unit === 'd' ? units.day : unit === 'h' ? units.hour : units.minute
  return Math.max(0, now - Number(count) * ms)
}

async function seriesOf(
  client: CtlClient,
  by: By,
  range: { readonly from: number; readonly to: number; readonly feature?: string },
): Promise<UsageSeries[]> {
  const from = by === 'day' ? range.from - (range.from % units.day) : range.from
  const all = await readUsage(client, { ...range, from, unit: by === 'minute' ? 'minute' : 'hour' })
  return by === 'day' ? all.map(({ feature, points }) => ({ feature, points: byDay(points) })) : all
}

function printJson(program: Program, all: readonly UsageSeries[]): void {
  for (const { feature, points } of all) {
    for (const { denied, ...point } of points) {
      const reasons = Object.fromEntries(denialReasons.map((reason, n) => [reason, denied[n] ?? 0]))
      program.printJson({ feature, ...point, denied: reasons })
    }
  }
}

function print(program: Program, format: string, by: By, all: readonly UsageSeries[]): void {
  if (all.length === 0 && format !== 'csv') {
    program.print('nothing was used in that time, as far as the pool remembers')
    return
  }
  switch (format) {
    case 'csv':
      program.print(['feature', 'from', ...columns.map(({ name }) => name)].join(','))
      for (const { feature, points } of all) {
        for (const point of points) {
          const cells = columns.map(({ of }) => of(point))
          program.print([feature, new Date(point.at).toISOString(), ...cells].join(','))
        }
      }
      return
    case 'chart':
      for (const { feature, points } of all) {
        program.print(program.paint('bold', feature))
        for (const line of chartOf(points, program.columns ?? 80)) program.print(line)
      }
      return
    case 'needed':
      for (const series of all) printNeeded(program, by, series)
      return
    default:
      printTable(program, all)
  }
}

const columns: readonly { readonly name: string; readonly of: (point: UsagePoint) => number }[] = [
  { name: 'in use', of: ({ peak }) => peak },
  { name: 'owned', of: ({ owned }) => owned },
  { name: 'waiting', of: ({ waiting }) => waiting },
  { name: 'granted', of: ({ granted }) => granted },
  ...denialReasons.map((reason, n) => ({
    name: `denied ${reason}`,
    of: ({ denied }: UsagePoint) => denied[n] ?? 0,
  })),
]

function printTable(program: Program, all: readonly UsageSeries[]): void {
  const rows = all.flatMap(({ feature, points }) =>
    points.map(point => [feature, timeOf(point.at), ...columns.map(({ of }) => of(point) || '')]),
  )
  const titles = columns.map(({ name }) => ({ title: name.toUpperCase(), right: true }))
  program.print(
    formatTable(
      program,
      [{ title: 'FEATURE' }, { title: 'FROM' }, ...titles],
      rows.slice(-tableMax),
    ),
  )
  if (rows.length > tableMax) {
    program.note(`the last ${tableMax} of ${rows.length} rows; --format csv or --json has all`)
  }
}

function printNeeded(program: Program, by: By, { feature, points }: UsageSeries): void {
  const owned = points.at(-1)?.owned ?? 0
  program.print(program.paint('bold', `${feature}: ${points.length} ${by}s, ${owned} owned`))
  program.print(
    formatTable(
      program,
      [
        { title: 'SEATS', right: true },
        { title: `${by.toUpperCase()}S SHORT`, right: true },
        { title: 'DENIED FOR WANT OF ONE', right: true },
      ],
      seatsNeeded(points)
        .slice(0, 20)
        .map(({ seats, short, denied }) => [seats, short, denied]),
    ),
  )
}

function timeOf(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ')
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new LicdError('LICD_STORAGE', `${file} could not be written: ${why}`, { cause })
  }
}
