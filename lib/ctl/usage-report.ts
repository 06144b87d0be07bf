/**
 * The usage history as one self-contained page: for whoever decides how many seats to buy.
 *
 * HTML and SVG alone, no script, nothing from any other host. All text from outside is escaped.
 */
import { seatsNeeded, wanting, type UsagePoint, type UsageSeries } from './usage.ts'

export interface Report {
  readonly pool: string
  readonly by: 'minute' | 'hour' | 'day'
  readonly from: number
  readonly to: number
  readonly series: readonly UsageSeries[]
}

const wide = 900
const high = 180
/** Bars in one chart; more points share one. */
const barsMax = 300
const neededMax = 12

export function usageReport({ pool, by, from, to, series }: Report): string {
  const sections = series.map(one => section(one, by)).join('\n')
  const nothing = '<p>Nothing was used in that time, as far as the pool remembers.</p>'
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Usage of pool ${escape(pool)}</title>
<style>${style}</style>
<h1>Usage of pool ${escape(pool)}</h1>
<p>${dateOf(from)} to ${dateOf(to)} (UTC), by ${by}. In use is the most at any moment of each ${by}.</p>
${series.length === 0 ? nothing : sections}
</html>
`
}

function section({ feature, points }: UsageSeries, by: string): string {
  const owned = points.at(-1)?.owned ?? 0
  const peak = Math.max(0, ...points.map(point => point.peak))
  const denied = points.reduce((sum, point) => sum + wanting(point), 0)
  const rows = seatsNeeded(points)
    .slice(0, neededMax)
    .map(
      row =>
        `<tr><td>${row.seats}<td>${row.short}<td>${percent(row.short, points.length)}<td>${row.denied}`,
    )
    .join('\n')
  return `<section>
<h2>${escape(feature)}</h2>
<p>${owned} owned, at most ${peak} in use, ${denied} requests denied for want of a seat.</p>
${chart(points, Math.max(owned, peak, 1), feature)}
<h3>How many seats would have been enough?</h3>
<table>
<tr><th>seats<th>${by}s with too few<th>of the time<th>denied in those
${rows}
</table>
<p class="note">Counted are seats in use, those waited for, and one for each request denied for want of a seat: a bound from above,
since who asks again and again is counted each time.</p>
</section>`
}

function chart(points: readonly UsagePoint[], most: number, feature: string): string {
  const each = Math.ceil(points.length / barsMax)
  const count = Math.ceil(points.length / each)
  const width = wide / Math.max(1, count)
  const bars: string[] = []
  for (let n = 0; n < count; n++) {
    const some = points.slice(n * each, (n + 1) * each)
    const peak = Math.max(0, ...some.map(point => point.peak))
    const denied = some.reduce((sum, point) => sum + wanting(point), 0)
    const tall = (peak / most) * high
    const from = dateOf(some[0]?.at ?? 0)
    const title = `${from}: ${peak} in use${denied > 0 ? `, ${denied} denied` : ''}`
    const at = `x="${round(n * width)}" width="${round(Math.max(0.5, width - 0.5))}"`
    bars.push(
      `<rect ${at} y="${round(high - tall)}" height="${round(tall)}"><title>${title}</title></rect>`,
    )
    if (denied > 0) bars.push(`<rect class="denied" ${at} y="${high + 4}" height="6"/>`)
  }
  const label = `Seats of ${escape(feature)} in use, at most ${most}`
  return `<svg viewBox="-40 -10 ${wide + 50} ${high + 24}" role="img" aria-label="${label}">
<text x="-6" y="4">${most}</text><text x="-6" y="${high}">0</text><line x1="0" x2="${wide}" y1="${high}" y2="${high}"/>
${bars.join('\n')}
</svg>`
}

const style = `
:root { color-scheme: light dark; --bar: light-dark(#2563a8, #7fb2e8); --bad: light-dark(#b3261e, #f2a39c); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } rect { fill: var(--bar); } .denied { fill: var(--bad); }
line { stroke: currentColor; } text { font-size: 12px; text-anchor: end; fill: currentColor; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { text-align: right; padding: 0.2rem 1rem 0.2rem 0; }
.note { font-size: 0.85rem; }`

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function percent(part: number, all: number): string {
  return all === 0 ? '0 %' : `${((100 * part) / all).toFixed(1)} %`
}

function dateOf(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
