/** Figures for the terminal, 80 to 120 columns wide. */
import {
  findCell,
  ratios,
  spread,
  type Cell,
  type Figures,
  type Group,
  type SectionTable,
  type Spread,
} from './figures.ts'
import { verdicts } from './goals.ts'
import { Histogram } from './histogram.ts'

/** What others are measured against: a bare round trip, as a user would write it. */
export const yardstick = 'echo.request'

/** Three digits, and no more than are true. */
export function short(value: number): string {
  if (Number.isNaN(value)) return '-'
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en-US')
  if (size >= 10) return value.toFixed(1)
  if (size >= 0.1 || size === 0) return value.toFixed(2)
  return value.toPrecision(2)
}

function ranged({ median, min, max }: Spread): string {
  return `${short(median)} (${short(min)}-${short(max)})`
}

/** Columns as wide as their widest field; the first is a text, the others are figures. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, n) =>
    Math.max(title.length, ...rows.map(row => (row[n] ?? '').length)),
  )
  const line = (fields: readonly string[]) =>
    fields
      .map((field, n) => (n === 0 ? field.padEnd(widths[n] ?? 0) : field.padStart(widths[n] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(head), widths.map(width => '-'.repeat(width)).join('  '), ...rows.map(line)].join(
    '\n',
  )
}

export function layoutTitle(layout: string): string {
  const [processes = '', inFlight = ''] = layout.split('x')
  return `${processes} client process${processes === '1' ? '' : 'es'}, ${inFlight} in flight each`
}

function layoutTable(group: Group, layout: string): string {
  const echo = findCell(group, yardstick, layout)
  const cells = group.cells.filter(cell => cell.layout === layout)
  const rows = cells.map(cell => {
    const all = Histogram.of(cell.latencies)
    return [
      group.titles[cell.row] ?? cell.row,
      echo === undefined ? '-' : ranged(spread(ratios(cell, echo))),
      ranged(spread(cell.perSecond)),
      short(all.quantile(0.5)),
      short(all.quantile(0.99)),
      short(spread(cell.clientMicros).median),
      short(serverMicros(cell)),
    ]
  })
  const head = ['', 'x echo', 'ops/s', 'p50 ms', 'p99 ms', 'us client', 'us servers']
  const failed = cells.flatMap(cell =>
    Object.entries(cell.failures).map(
      ([name, count]) => `  ${cell.row}: ${count} operations failed: ${name.slice(0, 90)}`,
    ),
  )
  return [`\n${layoutTitle(layout)}`, columns(head, rows), ...failed].join('\n')
}

/** CPU microseconds an operation, of all server processes together. */
export function serverMicros(cell: Cell): number {
  return Object.values(cell.serverMicros).reduce((sum, values) => sum + spread(values).median, 0)
}

/** All layouts side by side: ratios alone. */
function ratioTable(group: Group): string {
  const rows = Object.entries(group.titles).map(([row, title]) => [
    title,
    ...group.layouts.map(layout => {
      const cell = findCell(group, row, layout)
      const echo = findCell(group, yardstick, layout)
      if (cell === undefined || echo === undefined) return '-'
      return short(spread(ratios(cell, echo)).median)
    }),
  ])
  const head = ['x echo, medians; client processes x in flight', ...group.layouts]
  return `\n${columns(head, rows)}`
}

/** Memory and CPU of each process, in the widest layout. */
function processTable(group: Group): string {
  const layout = group.layouts.at(-1) ?? ''
  const rows = group.cells
    .filter(cell => cell.layout === layout)
    .flatMap(cell => [
      [
        `${group.titles[cell.row] ?? cell.row}: client`,
        short(cell.clientRssMiB),
        short(spread(cell.clientMicros).median),
      ],
      ...Object.entries(cell.serverMicros).map(([name, micros]) => [
        `  ${name}`,
        short(cell.serverRssMiB[name] ?? 0),
        short(spread(micros).median),
      ]),
    ])
  return `\nProcesses, at ${layoutTitle(layout)}\n${columns(['', 'RSS MiB', 'us CPU per operation'], rows)}`
}

export function sectionText({ title, note, head, rows }: SectionTable): string {
  const text = rows.map(row => row.map(field => (typeof field === 'number' ? short(field) : field)))
  return `\n${title}\n${columns(head, text)}${note === undefined ? '' : `\n${note}`}`
}

function goalTable(group: Group): string {
  const rows = verdicts(group).map(({ what, layout, wanted, measured, isMet }) => [
    ...[what, layout, wanted, ranged(measured), isMet ? 'met' : 'MISSED'],
  ])
  if (rows.length === 0) return ''
  return `\n${columns(['Goals', 'layout', 'wanted', 'measured', ''], rows)}`
}

export function report(figures: Figures): string {
  const { machine, versions, skipped } = figures
  const parts = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}`,
    `Node ${machine.node}; ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    `${machine.at}; load before ${figures.loadBefore}, after ${figures.loadAfter}`,
    ...Object.entries(skipped).map(([name, why]) => `left out: ${name}: ${why}`),
  ]
  if (figures.groups.length > 0) {
    parts.push(
      ...figures.groups.flatMap(group => [
        `\n=== ${group.title} ===`,
        `${figures.pairs} interleaved rounds of ${group.seconds} s: medians (min-max); ` +
          'us: CPU microseconds per operation',
        ...group.layouts.map(layout => layoutTable(group, layout)),
        processTable(group),
        ratioTable(group),
        goalTable(group),
      ]),
    )
  }
  return [...parts, ...figures.sections.map(sectionText)].join('\n')
}
