/** A small writer of SVG: elements, and scales from figures to places. Colours are variables of the page's style. */

export type Attributes = Readonly<Record<string, string | number | undefined>>

export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** `children` are markup; text goes through {@link escape} first. */
export function element(name: string, attributes: Attributes, ...children: string[]): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const text = typeof value === 'number' ? String(Math.round(value * 100) / 100) : value
      return ` ${key}="${escape(text ?? '')}"`
    })
  return `<${name}${written.join('')}>${children.join('')}</${name}>`
}

export function label(x: number, y: number, text: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escape(text))
}

export function line(
  from: readonly [number, number],
  to: readonly [number, number],
  attributes: Attributes,
): string {
  return element('line', { x1: from[0], y1: from[1], x2: to[0], y2: to[1], ...attributes })
}

/** What is shown when a pointer rests on it. */
export function tip(text: string): string {
  return element('title', {}, escape(text))
}

export interface Scale {
  place(value: number): number
  readonly ticks: readonly number[]
}

export interface Span {
  readonly from: number
  readonly to: number
}

/** Powers of ten, so many that all values lie between the first and the last; from 1 to 10 where there are none. */
export function logScale(values: readonly number[], places: Span): Scale {
  const found = values.filter(value => value > 0 && Number.isFinite(value))
  const positive = found.length > 0 ? found : [1]
  const low = Math.floor(Math.log10(Math.min(...positive)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive))))
  const part = (places.to - places.from) / (high - low)
  return {
    place: value => places.from + (Math.log10(Math.max(value, 10 ** low)) - low) * part,
    ticks: Array.from({ length: high - low + 1 }, (_, n) => 10 ** (low + n)),
  }
}

/** From zero to a round number above all values; to 1 where none is above zero. */
export function linearScale(values: readonly number[], places: Span): Scale {
  const largest = Math.max(0, ...values.filter(Number.isFinite))
  const most = largest > 0 ? largest : 1
  const rough = most / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 2.5, 5, 10].find(factor => factor * power >= rough) ?? 10) * power
  const count = Math.ceil(most / step)
  return {
    place: value => places.from + (value / (step * count)) * (places.to - places.from),
    ticks: Array.from({ length: count + 1 }, (_, n) => n * step),
  }
}

/** 1,000 as 1k: for axes. */
export function brief(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}
