/** A feature's or a share's allocations as one bar, whose parts are told in words too. */
import { figure, h } from './dom.js'

/** @typedef {{ kind: 'used' | 'owed' | 'dark' | 'idle' | 'free', count: number, name: string }} Part */

/**
 * @param {readonly Part[]} parts
 * @param {number} whole What the full width stands for.
 */
export function bar(parts, whole) {
  const shown = parts.filter(({ count }) => count > 0)
  const total = shown.reduce((sum, { count }) => sum + count, 0)
  const words = shown.map(({ count, name }) => `${figure(count)} ${name}`).join(', ')
  const element = h('div', {
    class: 'bar',
    role: 'img',
    'aria-label': words === '' ? 'none' : words,
  })
  for (const { kind, count, name } of shown) {
    const part = h('i', { class: `part ${kind}`, title: `${figure(count)} ${name}` })
    part.style.flexGrow = String(count)
    element.append(part)
  }
  // Shares are drawn to one scale, so that the longest bar is the largest share.
  element.style.width = `${whole > 0 ? (100 * total) / whole : 0}%`
  return element
}

/**
 * @param {import('../http/figures.ts').Parts} parts
 * @returns {Part[]}
 */
export function partsOf({ inUse, owed, dark, idle, free }) {
  return [
    { kind: 'used', count: inUse, name: 'in use' },
    { kind: 'owed', count: owed, name: 'owed' },
    { kind: 'dark', count: dark, name: 'dark' },
    { kind: 'idle', count: idle, name: 'idle' },
    { kind: 'free', count: free, name: 'in the free pool' },
  ]
}
