/**
 * Tables for people: columns without lines, in the manner of `ps`.
 *
 * On a terminal a table is cut to its width, the widest column first; elsewhere nothing is cut, so that what is
 * piped can be searched. Text from outside is made harmless here.
 *
 * The library, which knows how wide text of any script is, looks through all rows for each cell: it took seven minutes for
 * forty thousand. So it gets only what is not plain, a cell at a time.
 */
import Table from 'cli-table3'
import { harmlessLine, type Program } from './program.ts'

export interface Column {
  readonly title: string
  readonly right?: boolean
}

export type Cell = string | number

const gap = 2
const narrowest = 6
const noLines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' '.repeat(gap),
}

/** The text of a table, without a line break at its end. `paint` colours a cell after its width is known. */
export function formatTable(
  program: Program,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
): string {
  const shown = rows.map(row => row.map(cell => harmlessLine(String(cell))))
  const fitted = fit(program.columns, columns, shown)
  const widths = fitted ?? naturalWidths(columns, shown)
  // The first column names what the row is about: names often differ at their ends.
  const cut = shown.map(([name = '', ...rest]) => [
    cutMiddle(name, fitted?.[0] ?? Infinity),
    ...rest,
  ])
  const lines = [columns.map(({ title }) => title), ...cut].map(row =>
    columns
      .map(({ right = false }, at) => cellOf(row[at] ?? '', widths[at] ?? 0, right))
      .join(' '.repeat(gap))
      .trimEnd(),
  )
  const [head = '', ...body] = lines
  return [program.paint('bold', head), ...body].join('\n')
}

const plain = /^[ -~]*$/

/** A text in `width` columns of the terminal. */
function cellOf(text: string, width: number, right: boolean): string {
  if (!plain.test(text)) return draw([text], width, right)
  const cut = text.length > width ? `${text.slice(0, Math.max(0, width - 1))}\u2026` : text
  return right ? cut.padStart(width) : cut.padEnd(width)
}

/** One column of texts of which some are not as wide as they are long: combining marks, other scripts. */
function draw(texts: readonly string[], width?: number, right = false): string {
  const table = new Table({
    colAligns: [right ? 'right' : 'left'],
    ...(width === undefined ? {} : { colWidths: [width] }),
    chars: noLines,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  })
  table.push(...texts.map(text => [text]))
  return table.toString()
}

/** Wide enough for all that is in a column. */
function naturalWidths(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): readonly number[] {
  const widths = columns.map(({ title }) => widthOf(title))
  for (const row of rows) {
    for (const [at, text] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, widthOf(text))
  }
  return widths
}

/** Columns of the terminal that a text takes: an empty cell is filled up to those of the one below. */
function widthOf(text: string): number {
  if (plain.test(text)) return text.length
  return draw(['', text]).split('\n')[0]?.length ?? 0
}

/** Widths that fit the terminal, or `undefined` where nothing has to be cut. */
function fit(
  room: number | undefined,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): number[] | undefined {
  if (room === undefined) return undefined
  const widths = columns.map(({ title }, index) =>
    rows.reduce((most, row) => Math.max(most, row[index]?.length ?? 0), title.length),
  )
  const total = () => widths.reduce((sum, width) => sum + width + gap, -gap)
  if (total() <= room) return undefined
  const texts = columns.flatMap(({ right }, index) => (right === true ? [] : [index]))
  // Text first: a figure of which a part is missing says something else.
  for (const cut of [texts, [...widths.keys()]]) {
    for (let excess = total() - room; excess > 0; excess = total() - room) {
      const widest = Math.max(0, ...cut.map(index => widths[index] ?? 0))
      if (widest <= narrowest) break
      const at = cut.find(index => widths[index] === widest)
      if (at === undefined) break
      widths[at] = widest - 1
    }
  }
  return widths
}

/** At most `width` columns: the beginning and the end of what is longer. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text
  const end = Math.floor((width - 1) / 2)
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`
}

const hanging = '  '

/** Lines of at most `room` columns, broken at spaces where it can be; what follows the first is indented. */
export function wrap(text: string, room: number | undefined): string[] {
  if (room === undefined || text.length <= room) return [text]
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > room) {
      lines.push(line)
      line = hanging
    }
    line += line === '' || line === hanging ? word : ` ${word}`
    // A word that is longer than a line is broken anywhere.
    while (line.length > room) {
      lines.push(line.slice(0, room))
      line = hanging + line.slice(room)
    }
  }
  return [...lines, line]
}

/** One text as lines that fit the terminal; made harmless, and coloured where a colour is given. */
export function printText(
  program: Program,
  text: string,
  colour?: Parameters<Program['paint']>[0],
): void {
  for (const line of wrap(harmlessLine(text), program.columns)) {
    program.print(colour === undefined ? line : program.paint(colour, line))
  }
}

/** `41 s`, `12 min`, `5 h`, `3 d`: how long, to a glance. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 10) return `${(Math.max(0, Math.floor(seconds * 10)) / 10).toFixed(1)} s`
  if (seconds < 120) return `${Math.floor(seconds)} s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** `2026-12-31`, or with the time of day where it is not midnight; always UTC. */
export function formatDate(ms: number | undefined): string {
  if (ms === undefined) return 'never'
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return '?'
  const text = date.toISOString()
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : `${text.slice(0, 16)}Z`
}

export function formatPercent(fraction: number): string {
  return `${Math.round(fraction * 100)}%`
}
