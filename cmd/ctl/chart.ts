/** A series of points as a chart of characters. */
import type { UsagePoint } from '../../lib/ctl/usage.ts'
import { wanting } from '../../lib/ctl/usage.ts'

const height = 8
const eighths = ' ▁▂▃▄▅▆▇█'

/** Lines of at most `width` columns: the seats in use, what was owned as the scale's top, and marks where some were denied. */
export function chartOf(points: readonly UsagePoint[], width: number): string[] {
  const most = Math.max(1, ...points.map(({ peak, owned }) => Math.max(peak, owned)))
  const label = String(most).length
  const room = Math.max(10, width - label - 2)
  const each = Math.ceil(points.length / room)
  const columns: { readonly peak: number; readonly denied: number }[] = []
  for (let at = 0; at < points.length; at += each) {
    const some = points.slice(at, at + each)
    columns.push({
      peak: Math.max(...some.map(({ peak }) => peak)),
      denied: some.reduce((sum, point) => sum + wanting(point), 0),
    })
  }
  const lines: string[] = []
  for (let row = height - 1; row >= 0; row--) {
    const bars = columns.map(({ peak }) => {
      const filled = Math.round((peak / most) * height * 8) - row * 8
      return eighths[Math.max(0, Math.min(8, filled))] ?? ' '
    })
    const scale = row === height - 1 ? String(most) : row === 0 ? '0' : ''
    lines.push(`${scale.padStart(label)} ${bars.join('')}`.trimEnd())
  }
  if (columns.some(({ denied }) => denied > 0)) {
    const marks = columns.map(({ denied }) => (denied > 0 ? '!' : ' ')).join('')
    lines.push(
      `${' '.repeat(label)} ${marks}`.trimEnd(),
      `${' '.repeat(label)} ! denied for want of a seat`,
    )
  }
  const [first, last] = [points[0], points.at(-1)]
  if (first !== undefined && last !== undefined) {
    const [from, to] = [first, last].map(({ at }) => `${new Date(at).toISOString().slice(0, 16)}Z`)
    lines.push(`${' '.repeat(label)} ${from} to ${to}`)
  }
  return lines
}
