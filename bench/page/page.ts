/** The figures as one HTML page that needs nothing else: no script, no font, no picture from anywhere. */
import {
  findCell,
  ratios,
  spread,
  type Cell,
  type Figures,
  type Group,
  type SectionTable,
} from '../figures.ts'
import { verdicts } from '../goals.ts'
import { Histogram } from '../histogram.ts'
import { layoutTitle, short, yardstick } from '../table.ts'
import { lineChart, rangeChart, stackChart, type RangeRow, type Series } from './charts.ts'
import { style } from './style.ts'
import { escape } from './svg.ts'

interface Look {
  /** Rows that tell the story; the others are in the table below. */
  readonly shown: readonly string[]
  /** Those of which the distribution is drawn. */
  readonly curves: readonly string[]
  readonly strong: string
}

const ours = 'licd.unawaited'
const replicated = ['ledger.add', 'ledger.borrow', 'etcd.put', 'floor.put']
const looks: Readonly<Record<Group['id'], Look>> = {
  seats: {
    shown: [
      ...[ours, 'licd.one', 'echo.request', 'echo.mux', 'redis.script', 'kv.own', 'kv.one'],
      ...['postgres.own', 'etcd.own', 'etcd.one'],
    ],
    curves: [ours, 'echo.request', 'redis.script', 'kv.own', 'postgres.own', 'etcd.own'],
    strong: ours,
  },
  replicated: {
    shown: [...replicated, 'echo.request'],
    curves: replicated,
    strong: 'ledger.add',
  },
}

/** At the end of a curve there is little room. */
function shortName(title: string): string {
  const [who = '', what = ''] = title.split(': ')
  return who === 'licd' && what.startsWith('a') && !what.includes('release') ? what : who
}

function colourOf(row: string): string {
  if (row === 'echo.mux') return 'ceiling'
  const [contender = ''] = row.split('.')
  return contender === 'ledger' ? 'licd' : contender
}

function panel(title: string, content: string): string {
  return `<section class="panel"><h3>${escape(title)}</h3>${content}</section>`
}

function tiles(group: Group): string {
  const facts: readonly (readonly [row: string, to: string, layout: string, text: string])[] = [
    [ours, yardstick, '1x1', 'of a bare NATS round trip, one seat at a time'],
    [ours, yardstick, '1x16', 'bare NATS round trips, 16 in flight'],
    [ours, yardstick, '1x256', 'bare NATS round trips, 256 in flight'],
    [ours, 'redis.script', '1x256', 'Redis without persistence, 256 in flight'],
    [ours, 'kv.own', '1x256', 'JetStream KV, 256 in flight'],
    [ours, 'etcd.own', '1x256', 'etcd, 256 in flight'],
    ['licd.one', ours, '1x256', 'when all want the same feature'],
  ]
  const tile = facts.flatMap(([row, to, layout, text]) => {
    const cell = findCell(group, row, layout)
    const other = findCell(group, to, layout)
    if (cell === undefined || other === undefined) return []
    const ratio = spread(ratios(cell, other)).median
    return [`<div class="tile"><b>${short(ratio)} ×</b><span>${escape(text)}</span></div>`]
  })
  return tile.length === 0 ? '' : `<div class="tiles">${tile.join('')}</div>`
}

function throughput(group: Group): string {
  const panels = group.layouts.flatMap(layout => {
    const echo = findCell(group, yardstick, layout)
    const rows = looks[group.id].shown.flatMap((row): RangeRow[] => {
      const cell = findCell(group, row, layout)
      if (cell === undefined) return []
      const ratio = echo === undefined ? undefined : spread(ratios(cell, echo)).median
      const note = ratio === undefined ? {} : { note: `${short(ratio)} × echo` }
      const look = { colour: colourOf(row), isStrong: row === looks[group.id].strong, ...note }
      return [{ name: group.titles[row] ?? row, ...look, ...spread(cell.perSecond) }]
    })
    if (rows.length === 0) return []
    rows.sort((a, b) => b.median - a.median)
    const title = layoutTitle(layout)
    const axis = 'operations a second; each step is ten times the one before'
    return panel(title, rangeChart({ title, axis, rows, isLog: true }))
  })
  return section(
    group.title,
    `Dots are medians of rounds of ${group.seconds} s, the bands behind them reach from the slowest to the fastest.`,
    panels,
  )
}

const quantiles = [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995] as const

function latency(group: Group): string {
  const panels = group.layouts.flatMap(layout => {
    const series = looks[group.id].curves.flatMap((row): Series[] => {
      const cell = findCell(group, row, layout)
      if (cell === undefined || cell.latencies.length === 0) return []
      const all = Histogram.of(cell.latencies)
      // A quantile beyond the last few operations is chance.
      const fit = quantiles.filter(q => (1 - q) * all.total >= 5)
      const points = fit.map(q => [1 / (1 - q), all.quantile(q)] as const)
      const name = shortName(group.titles[row] ?? row)
      return [{ name, colour: colourOf(row), points, isStrong: row === looks[group.id].strong }]
    })
    if (series.length === 0) return []
    const title = layoutTitle(layout)
    const chart = lineChart({
      ...{ title, series, xLog: true, yLog: true },
      xAxis: 'part of the operations that took no longer',
      yAxis: 'milliseconds',
      xTicks: [
        [1, '0'],
        [2, '50 %'],
        [10, '90 %'],
        [100, '99 %'],
        [1000, '99.9 %'],
      ],
    })
    return panel(title, chart)
  })
  return section(
    'How long one waits',
    'The whole distribution: flat is even, a curve that rises at the right has a tail.',
    panels,
  )
}

function costs(group: Group): string {
  const layout = ['1x256', '1x16'].find(name => group.layouts.includes(name))
  if (layout === undefined) return ''
  const { shown, strong } = looks[group.id]
  const cells = shown.flatMap(row => findCell(group, row, layout) ?? [])
  if (cells.length === 0) return ''
  const rows = cells.map(cell => ({
    name: group.titles[cell.row] ?? cell.row,
    isStrong: cell.row === strong,
    parts: [
      { name: 'client', colour: 'client', value: spread(cell.clientMicros).median },
      ...Object.entries(cell.serverMicros).map(([name, values]) => ({
        ...{ name, colour: 'server', value: spread(values).median },
      })),
    ],
  }))
  const usual = rows.filter(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0) < 2_000)
  const memory = cells.map(cell => ({
    name: group.titles[cell.row] ?? cell.row,
    isStrong: cell.row === strong,
    parts: Object.entries(cell.serverRssMiB).map(([name, value]) => ({
      ...{ name, colour: 'server', value },
    })),
  }))
  const distinct = memory.filter(({ name }) => !name.includes('one feature'))
  const cpu = 'CPU microseconds an operation'
  const mebibytes = 'MiB resident, of all server processes'
  return section(
    'What it costs',
    `At ${layoutTitle(layout)}. Light: the client process; dark: the servers, broker included.`,
    [
      panel(
        cpu,
        stackChart({ title: cpu, axis: `${cpu} (those above 2,000 left out)`, rows: usual }),
      ),
      panel('Memory', stackChart({ title: mebibytes, axis: mebibytes, rows: distinct })),
    ],
  )
}

function section(title: string, text: string, panels: readonly string[]): string {
  if (panels.length === 0) return ''
  const head = `<h2>${escape(title)}</h2><p class="soft">${escape(text)}</p>`
  return `${head}<div class="grid-of">${panels.join('')}</div>`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const titles = head.map(text => `<th>${escape(text)}</th>`).join('')
  const lines = rows.map(row => {
    const mark = row[0]?.startsWith('licd') === true ? ' class="ours"' : ''
    return `<tr${mark}>${row.map(text => `<td>${escape(text)}</td>`).join('')}</tr>`
  })
  return `<div class="scroll"><table><tr>${titles}</tr>${lines.join('')}</table></div>`
}

function otherSection({ title, note, head, rows, charts = [] }: SectionTable): string {
  const panels = charts.map(chart =>
    panel(chart.title, chart.kind === 'lines' ? lineChart(chart) : rangeChart(chart)),
  )
  const texts = rows.map(row =>
    row.map(field => (typeof field === 'number' ? short(field) : field)),
  )
  const shownPanels = panels.length === 0 ? '' : `<div class="grid-of">${panels.join('')}</div>`
  const text = note === undefined ? '' : `<p class="soft">${escape(note)}</p>`
  return `<h2>${escape(title)}</h2>${text}${shownPanels}${table(head, texts)}`
}

function goals(group: Group): string {
  const found = verdicts(group)
  if (found.length === 0) return ''
  const rows = found.map(({ what, layout, wanted, measured, isMet }) => {
    const { median, min, max } = measured
    const fields = [what, layout, wanted, short(median), `${short(min)} to ${short(max)}`]
    const verdict = `<td class="${isMet ? 'met' : 'missed'}">${isMet ? 'met' : 'missed'}</td>`
    return `<tr>${fields.map(text => `<td>${escape(text)}</td>`).join('')}${verdict}</tr>`
  })
  const head =
    '<tr><th>ratio</th><th>layout</th><th>goal</th><th>median</th><th>rounds</th><th></th></tr>'
  return (
    '<h2>Goals</h2><p class="soft">Ratios of operations a second, round by round.</p>' +
    `<div class="scroll"><table>${head}${rows.join('')}</table></div>`
  )
}

function allFigures(group: Group): string {
  const row = (cell: Cell) => {
    const all = Histogram.of(cell.latencies)
    const { median, min, max } = spread(cell.perSecond)
    const echo = findCell(group, yardstick, cell.layout)
    return [
      group.titles[cell.row] ?? cell.row,
      cell.layout,
      short(median),
      `${short(min)} to ${short(max)}`,
      echo === undefined ? '' : short(spread(ratios(cell, echo)).median),
      ...[0.5, 0.99, 0.999].map(q => short(all.quantile(q))),
    ]
  }
  const head = ['', 'layout', 'a second', 'rounds', '× echo', 'p50 ms', 'p99 ms', 'p99.9 ms']
  return `<details><summary>All figures</summary>${table(head, group.cells.map(row))}</details>`
}

function groupPart(group: Group): string {
  const parts = [throughput(group), latency(group), costs(group), goals(group), allFigures(group)]
  return (group.id === 'seats' ? tiles(group) : '') + parts.join('')
}

export function page(figures: Figures): string {
  const { machine, versions, skipped } = figures
  const about = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}.`,
    `${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}; licd at commit ${machine.commit}.`,
    `${machine.at.slice(0, 16).replace('T', ' ')} UTC, load before ${figures.loadBefore}, after ${figures.loadAfter}.`,
    ...Object.entries(skipped).map(([name, why]) => `Left out: ${name} (${why}).`),
  ]
  const method =
    'Servers and clients share this one machine, on loopback. Every client keeps a fixed number of operations in ' +
    `flight; ${figures.pairs} ${figures.pairs === 1 ? 'round' : 'rounds'}, each of which measures everyone once, in an order that turns. ` +
    'Compare what stands in one picture; absolute figures move from machine to machine.'
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>licd beside what you would pick instead</title><style>${style}</style></head><body><main>
<h1>A seat from licd, beside what you would pick instead</h1>
<p>${escape(method)}</p><p class="soft">${about.map(escape).join('<br>')}</p>
${figures.groups.map(groupPart).join('')}
${figures.sections.map(otherSection).join('')}
</main></body></html>
`
}
