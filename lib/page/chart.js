/**
 * Charts of figures over time, drawn by uPlot, which comes from this server and only when a chart is to be drawn.
 *
 * A chart is a picture: what it shows is also told in words (`readout`, by arrow keys) and in a table beside it.
 */
import { h } from './dom.js'

/**
 * @typedef {import('uplot')} UPlot
 * @typedef {object} Line
 * @property {string} name
 * @property {string} colour Name of a custom property of the page.
 * @property {'area' | 'line' | 'bars'} kind
 * @property {readonly (number | null)[]} values
 * @typedef {object} Drawing
 * @property {readonly number[]} at Rising: seconds since 1970 where `isTime`.
 * @property {boolean} isTime
 * @property {readonly Line[]} lines
 * @property {string} says What it is, for who cannot see it.
 * @property {string} [unit] Of the axis on the left.
 * @property {(index: number) => string} readout
 */

const high = 190

/** @type {Promise<typeof import('uplot')> | undefined} */
let loading

/** @returns {Promise<typeof import('uplot')>} */
function load() {
  loading ??= new Promise((resolve, reject) => {
    const failed = () => {
      // Its server is lost: it is asked for again with the next chart.
      loading = undefined
      reject(new Error('The chart could not be fetched from this server; the table has the same.'))
    }
    document.head.append(
      h('link', { rel: 'stylesheet', href: '/uplot.css' }),
      h('script', {
        src: '/uplot.js',
        load: () => resolve(Reflect.get(window, 'uPlot')),
        error: failed,
      }),
    )
  })
  return loading
}

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name)
}

/** A place for one chart, which is drawn anew whenever its figures change. */
export class Chart {
  #place = h('div', { class: 'plot', role: 'group', tabindex: 0 })
  #readout = h('p', { class: 'quiet readout', role: 'status' })
  element = h('div', { class: 'chart' }, this.#place, this.#readout)
  /** @type {UPlot | undefined} */ #plot
  /** @type {Drawing | undefined} */ #drawing
  #shape = ''
  #isHidden = false
  #closing = new AbortController()
  #size = new ResizeObserver(() => this.#fit())

  constructor() {
    this.#place.addEventListener('keydown', event => this.#key(event))
    this.#size.observe(this.#place)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    const { signal } = this.#closing
    scheme.addEventListener('change', () => this.#plot?.redraw(false), { signal })
  }

  /** Lets go of the window, which would keep it otherwise. */
  close() {
    this.#closing.abort()
    this.#size.disconnect()
    this.#plot?.destroy()
    this.#plot = undefined
  }

  /** Throws when the library cannot be had. @param {Drawing} drawing */
  async show(drawing) {
    const library = await load()
    if (this.#closing.signal.aborted) return
    this.#drawing = drawing
    this.#place.setAttribute('aria-label', `${drawing.says} Arrow keys read it out.`)
    const data = /** @type {import('uplot').AlignedData} */ ([
      drawing.at,
      ...drawing.lines.map(({ values }) => values),
    ])
    const shape = drawing.lines.map(({ name }) => name).join()
    if (this.#plot !== undefined && shape === this.#shape) {
      this.#plot.setData(data)
      return
    }
    this.#plot?.destroy()
    this.#shape = shape
    this.#plot = new library(
      optionsOf(library, drawing, this.#width, index => this.#read(index)),
      data,
      this.#place,
    )
  }

  get #width() {
    return Math.max(200, this.#place.clientWidth)
  }

  #fit() {
    const isHidden = this.#place.clientWidth === 0
    if (
      !isHidden &&
      this.#plot !== undefined &&
      (this.#isHidden || this.#plot.width !== this.#width)
    )
      this.#plot.setSize({ width: this.#width, height: high })
    this.#isHidden = isHidden
  }

  /** @param {number | null | undefined} index */
  #read(index) {
    const text = typeof index === 'number' ? (this.#drawing?.readout(index) ?? '') : ''
    if (this.#readout.textContent !== text) this.#readout.textContent = text
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const plot = this.#plot
    const last = (this.#drawing?.at.length ?? 0) - 1
    if (plot === undefined || last < 0) return
    const now = plot.cursor.idx ?? last + 1
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key]
    if (to === undefined) return
    event.preventDefault()
    const index = Math.max(0, Math.min(last, to))
    const left = plot.valToPos(this.#drawing?.at[index] ?? 0, 'x')
    plot.setCursor({ left, top: 10 })
  }
}

/**
 * @param {typeof import('uplot')} library
 * @param {Drawing} drawing
 * @param {number} width
 * @param {(index: number | null | undefined) => void} read
 * @returns {import('uplot').Options}
 */
function optionsOf(library, { lines, isTime, unit }, width, read) {
  const axis = {
    stroke: () => colour('--quiet'),
    grid: { stroke: () => colour('--line'), width: 1 },
    ticks: { stroke: () => colour('--line'), width: 1 },
    font: '12px system-ui, sans-serif',
  }
  const hasBars = lines.some(({ kind }) => kind === 'bars')
  return {
    width,
    height: high,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: isTime },
      y: { range: (_plot, _least, most) => [0, Math.max(1, (most ?? 0) * 1.08)] },
      // Bars take the lower half, so that they are not taken for what stands behind them.
      bars: { range: (_plot, _least, most) => [0, Math.max(4, (most ?? 0) * 2)] },
    },
    axes: [
      isTime ? { ...axis, values: clocks } : axis,
      {
        ...axis,
        size: 48,
        incrs: wholes,
        ...(unit === undefined ? {} : { label: unit, labelSize: 18 }),
      },
      ...(hasBars
        ? [
            {
              ...axis,
              scale: 'bars',
              side: /** @type {const} */ (1),
              size: 44,
              grid: { show: false },
              incrs: wholes,
            },
          ]
        : []),
    ],
    series: [{}, ...lines.map(line => seriesOf(library, line))],
    hooks: { setCursor: [plot => read(plot.cursor.idx)] },
  }
}

const dayWords = '{MMM} {D}'
/** From so many seconds between two marks on: the mark's words, with the day below where it begins. */
const clocks = [
  [31_536_000, '{YYYY}', null, null, null, null, null, null, 1],
  [2_419_200, '{MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [86_400, dayWords, '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', `\n${dayWords}`, null, `\n${dayWords}`, null, null, null, 1],
]

/** Seats are whole. */
const wholes = [1, 2, 5]
  .flatMap(n => [0, 1, 2, 3, 4, 5, 6].map(power => n * 10 ** power))
  .sort((a, b) => a - b)

/**
 * @param {typeof import('uplot')} library
 * @param {Line} line
 * @returns {import('uplot').Series}
 */
function seriesOf({ paths = {} }, { name, colour: property, kind }) {
  const stroke = () => colour(property)
  const base = { label: name, stroke, width: 1.5, points: { show: false } }
  if (kind === 'bars') {
    const built = paths.bars?.({ size: [0.6, 12, 2] })
    return { ...base, scale: 'bars', width: 0, fill: stroke, ...(built ? { paths: built } : {}) }
  }
  const built = paths.stepped?.({ align: 1 })
  return {
    ...base,
    ...(kind === 'area'
      ? { fill: () => `color-mix(in srgb, ${colour(property)} 22%, transparent)` }
      : { dash: [5, 4] }),
    ...(built ? { paths: built } : {}),
  }
}
