/** Who holds what: a page of the seats that fit the search, of all servers. */
import { duration, figure, find, h, put, say } from './dom.js'
import { offer, Paged } from './paged.js'

/** @typedef {Awaited<ReturnType<typeof import('../ctl/seat-search.ts').searchSeats>>} FoundSeats */

const body = find('seats', HTMLTableElement).tBodies[0]
const count = find('seats-count', HTMLElement)
const feature = find('seats-feature', HTMLSelectElement)

export class Seats {
  /** @type {Paged<FoundSeats>} */ #paged

  /** @param {(path: string) => Promise<any>} ask */
  constructor(ask) {
    const fields = { search: find('seats-search', HTMLInputElement), feature }
    this.#paged = new Paged({ ask, name: 'seats', fields, from: 'after', show })
  }

  /** @param {boolean} isOpen */
  open(isOpen) {
    this.#paged.open(isOpen)
  }

  /** @param {readonly string[]} names */
  features(names) {
    offer(feature, names)
  }
}

/** @param {FoundSeats} found */
function show({ seats, total, unanswered }) {
  if (body !== undefined) put(body, ...seats.map(rowOf))
  const missing = unanswered.length === 0 ? '' : `; without those of ${unanswered.join(', ')}`
  say(count, `${figure(total)} ${total === 1 ? 'seat' : 'seats'}${missing}`)
  return seats.length
}

/** @param {FoundSeats['seats'][number]} seat */
function rowOf({ user, host, feature, server, state, heldMs, expiresInMs, seatId }) {
  const name = user === '' ? '—' : user
  const place = host === '' ? '—' : host
  return h(
    'tr',
    { title: `seat ${seatId}`, class: state === 'held' ? undefined : 'warn' },
    h('th', { scope: 'row' }, name, h('small', { class: 'narrow' }, place)),
    h('td', { class: 'wide' }, place),
    h('td', {}, feature, h('small', { class: 'narrow' }, server)),
    h('td', { class: 'wide' }, server),
    h('td', { class: 'figure' }, state === 'held' ? duration(heldMs) : state),
    h('td', { class: 'figure' }, state === 'held' ? duration(expiresInMs) : '—'),
  )
}
