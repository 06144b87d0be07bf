/** Who holds what: a page of the seats that fit the search, of all servers. */
import { duration, figure, find, h, pager, put, say } from './dom.js'

/** @typedef {Awaited<ReturnType<typeof import('../ctl/seat-search.ts').searchSeats>>} FoundSeats */

const pageSize = 50
const againMs = 5000
const typingMs = 250
const body = find('seats', HTMLTableElement).tBodies[0]
const count = find('seats-count', HTMLElement)
const pages = find('seats-pages', HTMLElement)
const search = find('seats-search', HTMLInputElement)
const feature = find('seats-feature', HTMLSelectElement)

export class Seats {
  #ask
  /** The last seats of the pages before. @type {string[]} */
  #before = []
  /** @type {number | undefined} */ #timer
  #isOpen = false
  #question = 0
  #shown = ''

  /** @param {(path: string) => Promise<any>} ask */
  constructor(ask) {
    this.#ask = ask
    const anew = (/** @type {number} */ ms) => () => {
      this.#before = []
      this.#later(ms)
    }
    search.addEventListener('input', anew(typingMs))
    feature.addEventListener('change', anew(0))
    find('seats-form', HTMLFormElement).addEventListener('submit', event => event.preventDefault())
  }

  /** @param {boolean} isOpen */
  open(isOpen) {
    this.#isOpen = isOpen
    if (isOpen) this.#later(0)
    else clearTimeout(this.#timer)
  }

  /** @param {readonly string[]} names */
  features(names) {
    const text = names.join('\n')
    if (text === this.#shown) return
    this.#shown = text
    const { value } = feature
    put(
      feature,
      h('option', { value: '' }, 'all'),
      ...names.map(name => h('option', { value: name }, name)),
    )
    feature.value = names.includes(value) ? value : ''
  }

  /** @param {number} ms */
  #later(ms) {
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => void this.#look(), ms)
  }

  async #look() {
    const question = ++this.#question
    const after = this.#before.at(-1)
    const query = new URLSearchParams({ limit: String(pageSize) })
    if (search.value.trim() !== '') query.set('search', search.value.trim())
    if (feature.value !== '') query.set('feature', feature.value)
    if (after !== undefined) query.set('after', after)
    try {
      /** @type {FoundSeats} */
      const found = await this.#ask(`/api/seats?${query}`)
      // Who types on has asked something else meanwhile.
      if (question !== this.#question) return
      this.#show(found)
    } catch (error) {
      if (question !== this.#question) return
      say(count, error instanceof Error ? error.message : String(error))
    }
    if (this.#isOpen) this.#later(againMs)
  }

  /** @param {FoundSeats} found */
  #show({ seats, next, total, unanswered }) {
    if (body !== undefined) put(body, ...seats.map(rowOf))
    const missing = unanswered.length === 0 ? '' : `; without those of ${unanswered.join(', ')}`
    say(count, `${figure(total)} ${total === 1 ? 'seat' : 'seats'}${missing}`)
    const from = this.#before.length * pageSize
    pager(pages, {
      text:
        seats.length === 0
          ? ''
          : `${figure(from + 1)}–${figure(from + seats.length)} of ${figure(total)}`,
      before:
        this.#before.length === 0
          ? undefined
          : () => {
              this.#before.pop()
              this.#later(0)
            },
      after:
        next === undefined
          ? undefined
          : () => {
              this.#before.push(next)
              this.#later(0)
            },
    })
  }
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
