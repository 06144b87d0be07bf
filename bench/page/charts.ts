/** The kinds of charts of the page. Each is one SVG element, as wide as its place allows. */
import { brief, element, label, line, linearScale, logScale, tip, type Scale } from './svg.ts'

/** A colour of the page's style, by name. */
function colour(name: string): string {
  return `var(--${name})`
}

function frame(width: number, height: number, title: string, ...parts: string[]): string {
  const attributes = {
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'aria-label': title,
    class: 'chart',
  }
  return element('svg', attributes, ...parts)
}

export interface RangeRow {
  readonly name: string
  readonly colour: string
  readonly median: number
  readonly min: number
  readonly max: number
  /** Beside the figure. */
  readonly note?: string
  readonly isStrong?: boolean
}

const rangeWidth = 640
const nameWidth = 228
const noteWidth = 150
const rowHeight = 24
const axisHeight = 34

export interface RangeChart {
  readonly title: string
  readonly axis: string
  readonly rows: readonly RangeRow[]
  readonly isLog: boolean
}

/** A line of dots, one a row, with a whisker from the least to the most; wide ranges on a scale of powers of ten. */
export function rangeChart({ title, axis, rows, isLog }: RangeChart): string {
  const height = rows.length * rowHeight + axisHeight + 6
  const bottom = height - axisHeight
  const places = { from: nameWidth, to: rangeWidth - noteWidth }
  const values = rows.flatMap(({ min, max, median }) => [min, max, median]).filter(Number.isFinite)
  const scale = isLog ? logScale(values, places) : linearScale(values, places)
  const grid = scale.ticks.map(tick => {
    const x = scale.place(tick)
    return (
      line([x, 0], [x, bottom], { class: 'grid' }) +
      label(x, bottom + 14, brief(tick), { class: 'tick', 'text-anchor': 'middle' })
    )
  })
  const marks = rows.map((row, n) => rangeMark(row, n * rowHeight + rowHeight / 2 + 3, scale))
  const caption = label((places.from + places.to) / 2, height - 4, axis, {
    class: 'axis',
    'text-anchor': 'middle',
  })
  return frame(rangeWidth, height, title, ...grid, ...marks, caption)
}

function rangeMark(row: RangeRow, y: number, scale: Scale): string {
  const { name, median, min, max, note, isStrong } = row
  const stroke = colour(row.colour)
  const strong = isStrong === true ? 'strong' : undefined
  const text = label(nameWidth - 10, y + 4, name, {
    class: `name ${strong ?? ''}`,
    'text-anchor': 'end',
  })
  if (!Number.isFinite(median)) return text
  const x = scale.place(median)
  const start = scale.ticks[0] ?? 0
  return element(
    'g',
    {},
    tip(`${name}: ${brief(median)} (${brief(min)} to ${brief(max)})${note ? `, ${note}` : ''}`),
    text,
    line([scale.place(start), y], [x, y], { stroke, class: 'stem' }),
    line([scale.place(min), y], [scale.place(max), y], { stroke, class: 'whisker' }),
    element('circle', { cx: x, cy: y, r: 5.5, fill: stroke, class: 'dot' }),
    label(rangeWidth - noteWidth + 14, y + 4, brief(median), {
      class: `figure ${strong ?? ''}`,
    }),
    label(rangeWidth - 2, y + 4, note ?? '', { class: 'note', 'text-anchor': 'end' }),
  )
}

export interface Series {
  readonly name: string
  readonly colour: string
  readonly points: readonly (readonly [number, number])[]
  readonly isStrong?: boolean
}

const lineWidth = 560
const lineHeight = 330
const margin = { left: 56, right: 128, top: 12, bottom: 40 }

export interface LineChart {
  readonly title: string
  readonly xAxis: string
  readonly yAxis: string
  readonly series: readonly Series[]
  readonly xLog: boolean
  readonly yLog: boolean
  /** Marks of the x axis, where they are not the values themselves. */
  readonly xTicks?: readonly (readonly [number, string])[]
}

export function lineChart(chart: LineChart): string {
  const { series, title, xAxis, yAxis } = chart
  const bottom = lineHeight - margin.bottom
  const right = lineWidth - margin.right
  const points = series.flatMap(one => one.points)
  const xs = points.map(([x]) => x)
  const ys = points.map(([, y]) => y)
  const across = { from: margin.left, to: right }
  const up = { from: bottom, to: margin.top }
  const x = chart.xLog ? logScale(xs, across) : linearScale(xs, across)
  const y = chart.yLog ? logScale(ys, up) : linearScale(ys, up)
  const xTicks = chart.xTicks ?? x.ticks.map(tick => [tick, brief(tick)] as const)
  const parts = [
    ...y.ticks.map(tick => {
      const at = y.place(tick)
      const text = { class: 'tick', 'text-anchor': 'end' }
      return (
        line([margin.left, at], [right, at], { class: 'grid' }) +
        label(margin.left - 7, at + 4, brief(tick), text)
      )
    }),
    ...xTicks.map(([value, text]) =>
      label(x.place(value), bottom + 16, text, { class: 'tick', 'text-anchor': 'middle' }),
    ),
    label((margin.left + right) / 2, lineHeight - 5, xAxis, {
      class: 'axis',
      'text-anchor': 'middle',
    }),
    label(14, (margin.top + bottom) / 2, yAxis, {
      class: 'axis',
      'text-anchor': 'middle',
      transform: `rotate(-90 14 ${(margin.top + bottom) / 2})`,
    }),
    ...series.map(one => curve(one, x, y)),
    ...endLabels(series, x, y),
  ]
  return frame(lineWidth, lineHeight, title, ...parts)
}

function curve({ name, points, isStrong, colour: of }: Series, x: Scale, y: Scale): string {
  const path = points
    .map(
      ([px, py], n) => `${n === 0 ? 'M' : 'L'}${x.place(px).toFixed(1)} ${y.place(py).toFixed(1)}`,
    )
    .join('')
  const few = points.length <= 12
  return element(
    'g',
    {},
    element(
      'path',
      { d: path, stroke: colour(of), class: isStrong === true ? 'curve strong' : 'curve' },
      tip(name),
    ),
    ...(few ? points : []).map(([px, py]) =>
      element(
        'circle',
        { cx: x.place(px), cy: y.place(py), r: 4, fill: colour(of), class: 'dot' },
        tip(`${name}: ${brief(py)} at ${brief(px)}`),
      ),
    ),
  )
}

const labelGap = 15

/** Names at the ends of the curves, moved apart where they would lie on each other. */
function endLabels(series: readonly Series[], x: Scale, y: Scale): string[] {
  const ends = series.flatMap(one => {
    const last = one.points.at(-1)
    return last === undefined ? [] : [{ one, x: x.place(last[0]), y: y.place(last[1]) }]
  })
  ends.sort((a, b) => a.y - b.y)
  let free = -Infinity
  const placed = ends.map(end => {
    const at = Math.max(end.y, free)
    free = at + labelGap
    return { ...end, at }
  })
  // Pushed below the chart: all move up again.
  const over = Math.max(0, free - labelGap - (lineHeight - margin.bottom))
  return placed.map(({ one, x: from, y: own, at }) => {
    const to = at - over
    const strong = one.isStrong === true ? ' strong' : ''
    const start = lineWidth - margin.right
    return (
      line([from + 5, own], [start + 14, to], { stroke: colour(one.colour), class: 'lead' }) +
      label(start + 18, to + 4, one.name, {
        class: `series${strong}`,
        style: `fill: ${colour(one.colour)}`,
      })
    )
  })
}

/** Bars of parts that add up, one a row, from zero. */
export function stackChart(options: {
  readonly title: string
  readonly axis: string
  readonly rows: readonly {
    readonly name: string
    readonly isStrong?: boolean
    readonly parts: readonly {
      readonly name: string
      readonly colour: string
      readonly value: number
    }[]
  }[]
}): string {
  const { title, axis, rows } = options
  const height = rows.length * rowHeight + axisHeight + 6
  const bottom = height - axisHeight
  const places = { from: nameWidth, to: rangeWidth - 60 }
  const sums = rows.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0))
  const scale = linearScale(sums, places)
  const grid = scale.ticks.map(tick => {
    const x = scale.place(tick)
    return (
      line([x, 0], [x, bottom], { class: 'grid' }) +
      label(x, bottom + 14, brief(tick), { class: 'tick', 'text-anchor': 'middle' })
    )
  })
  const bars = rows.map(({ name, parts, isStrong }, n) => {
    const y = n * rowHeight + 6
    let from = 0
    const strong = isStrong === true ? 'strong' : ''
    const pieces = parts.map(part => {
      const x = scale.place(from)
      from += part.value
      const width = Math.max(0, scale.place(from) - x - 1.5)
      const text = tip(`${name}: ${part.name} ${brief(part.value)}`)
      return element('rect', { x, y, width, height: 14, rx: 2, fill: colour(part.colour) }, text)
    })
    return (
      label(nameWidth - 10, y + 11, name, { class: `name ${strong}`, 'text-anchor': 'end' }) +
      pieces.join('') +
      label(scale.place(from) + 6, y + 11, brief(from), { class: `figure ${strong}` })
    )
  })
  const caption = label((places.from + places.to) / 2, height - 4, axis, {
    class: 'axis',
    'text-anchor': 'middle',
  })
  return frame(rangeWidth, height, title, ...grid, ...bars, caption)
}
