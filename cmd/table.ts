/**
 * Tables for people: columns without lines, in the manner of `ps`.
 *
 * On a terminal a table is cut to its width, the widest column first; elsewhere nothing is cut, so that what is
 * piped can be searched. Text from outside is made harmless here.
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
  const widths = fit(program.columns, columns, shown)
  const table = new Table({
    head: columns.map(({ title }) => title),
    colAligns: columns.map(({ right }) => (right === true ? 'right' : 'left')),
    ...(widths === undefined ? {} : { colWidths: widths }),
    chars: noLines,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  })
  // The first column names what the row is about: names often differ at their ends.
  table.push(
    ...shown.map(([name = '', ...rest]) => [cutMiddle(name, widths?.[0] ?? Infinity), ...rest]),
  )
  const [head = '', ...body] = table
    .toString()
    .split('\n')
    .map(line => line.trimEnd())
  return [program.paint('bold', head), ...body].join('\n')
}

/** Widths that fit the terminal, or `undefined` where nothing has to be cut. */
function fit(
  room: number | undefined,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): number[] | undefined {
  if (room === undefined) return undefined
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map(row => row[index]?.length ?? 0)),
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
