/** The servers of the pool, a row each. */
import { duration, figure, find, h, put } from './dom.js'

/**
 * @typedef {import('../http/report.ts').PoolHead} PoolHead
 * @typedef {import('../http/report.ts').ServerReport} ServerReport
 */

const body = find('servers', HTMLTableElement).tBodies[0]
/** @type {Map<string, { row: HTMLTableRowElement, json: string }>} */
const rows = new Map()

/** @param {PoolHead} head */
export function showServers(head) {
  const names = new Set(head.servers.map(({ name }) => name))
  for (const [name, { row }] of rows) {
    if (names.has(name)) continue
    row.remove()
    rows.delete(name)
  }
  for (const server of head.servers) {
    const known = rows.get(server.name)
    const cells = cellsOf(server, head.server)
    const json = cells.map(({ textContent }) => textContent).join('|') + server.state
    if (known?.json === json) continue
    const row = known?.row ?? h('tr')
    put(row, ...cells)
    row.className =
      server.state === 'up' && server.answers ? '' : server.state === 'down' ? 'bad' : 'warn'
    rows.set(server.name, { row, json })
    if (known === undefined) body?.append(row)
  }
}

/**
 * @param {ServerReport} server
 * @param {string} own
 */
function cellsOf(server, own) {
  const { name, http, role, leaseMs, inUse, share, heardMs, answers, remarks } = server
  const isOther = http !== undefined && name !== own
  const about = answers ? '' : '≤ '
  return [
    h(
      'th',
      { scope: 'row' },
      isOther ? h('a', { href: http, title: `The page of ${name}` }, name) : name,
      ...remarks.map(remark => h('small', { class: 'remark' }, remark)),
    ),
    h('td', {}, roleOf(server, role)),
    h('td', { class: 'figure' }, leaseMs > 0 ? about + duration(leaseMs) : '—'),
    h('td', { class: 'figure' }, (answers ? '' : '~') + figure(inUse)),
    h('td', { class: 'figure' }, figure(share)),
    h('td', { class: 'figure wide' }, heardMs < 3000 ? 'now' : `${duration(heardMs)} ago`),
  ]
}

/**
 * @param {ServerReport} server
 * @param {ServerReport['role']} role
 */
function roleOf({ state, answers }, role) {
  if (state !== 'up') return h('span', { class: `tag ${state}` }, state)
  if (!answers) return h('span', { class: 'tag silent' }, 'does not answer')
  return role === 'leader' ? h('span', { class: 'tag leader' }, 'leader') : role
}
