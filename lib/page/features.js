/**
 * The features of the pool, a bar each, which opens to show who owns what, what is dark, and why seats were denied.
 *
 * Pools may have thousands: those shown are one page of those that fit the search. What is open stays open while
 * figures change.
 */
import { bar, partsOf } from './bars.js'
import { duration, figure, find, h, pager, put, say } from './dom.js'
import { History } from './history.js'
import { whyPanel } from './why.js'

/**
 * @typedef {import('../http/report.ts').FeatureReport} FeatureReport
 * @typedef {import('./feed.js').FeaturesEvent} FeaturesEvent
 * @typedef {(path: string) => Promise<any>} Ask
 */

const pageSize = 25
const place = find('features', HTMLElement)
const pages = find('features-pages', HTMLElement)
const none = find('features-none', HTMLElement)
const search = find('features-search', HTMLInputElement)

export class Features {
  /** @type {Map<string, FeatureReport>} */ #all = new Map()
  /** @type {Map<string, FeatureView>} */ #views = new Map()
  /** @type {Ask} */ #ask
  #page = 0

  /** @param {Ask} ask */
  constructor(ask) {
    this.#ask = ask
    search.addEventListener('input', () => {
      this.#page = 0
      this.#show()
    })
  }

  /** In the order of their names. */
  get names() {
    return [...this.#all.keys()].sort()
  }

  /** @param {FeaturesEvent} event */
  take({ all, features, gone }) {
    if (all) this.#all.clear()
    for (const name of gone) this.#all.delete(name)
    for (const feature of features) this.#all.set(feature.name, feature)
    this.#show()
  }

  #show() {
    const wanted = search.value.trim().toLowerCase()
    const names = this.names.filter(name => name.toLowerCase().includes(wanted))
    const last = Math.max(0, Math.ceil(names.length / pageSize) - 1)
    this.#page = Math.min(this.#page, last)
    const from = this.#page * pageSize
    const shown = names.slice(from, from + pageSize)
    find('features-find', HTMLElement).hidden = this.#all.size <= 8
    none.hidden = names.length > 0
    say(none, wanted === '' ? noFeatures : 'No feature has that in its name.')
    for (const [name, { element, close }] of this.#views) {
      if (shown.includes(name)) continue
      element.remove()
      close()
      this.#views.delete(name)
    }
    shown.forEach((name, at) => {
      const feature = this.#all.get(name)
      if (feature === undefined) return
      const view = this.#views.get(name) ?? new FeatureView(name, this.#ask)
      this.#views.set(name, view)
      view.show(feature)
      if (place.children[at] !== view.element)
        place.insertBefore(view.element, place.children[at] ?? null)
    })
    const turn = (/** @type {number} */ by) => () => {
      this.#page += by
      this.#show()
    }
    pager(pages, {
      text: `${from + 1}–${from + shown.length} of ${figure(names.length)}`,
      before: this.#page > 0 ? turn(-1) : undefined,
      after: this.#page < last ? turn(1) : undefined,
    })
  }
}

const noFeatures =
  'The pool has no features yet. Add one: licd ctl feature add cad 30 --local, or licd ctl code add FILE.'

class FeatureView {
  #summary = h('summary')
  #shares = h('div', { class: 'shares' })
  #json = ''

  /**
   * @param {string} name
   * @param {Ask} ask
   */
  constructor(name, ask) {
    const why = whyPanel(name, ask)
    const past = h('div', {})
    /** @type {History | undefined} */
    let history
    const toggle = () => {
      const { open } = this.element
      why.open(open)
      // Made when it is first looked at: there may be many features on a page.
      if (open && history === undefined) {
        history = new History(name, ask)
        put(past, history.element)
      }
      history?.open(open)
    }
    this.element = h(
      'details',
      { class: 'feature', toggle },
      this.#summary,
      this.#shares,
      past,
      why.element,
    )
    this.close = () => {
      why.open(false)
      history?.close()
    }
  }

  /** @param {FeatureReport} feature */
  show(feature) {
    const json = JSON.stringify(feature)
    if (json === this.#json) return
    this.#json = json
    put(this.#summary, ...summaryOf(feature))
    put(this.#shares, sharesOf(feature), ...darkOf(feature))
  }
}

/** @param {FeatureReport} feature */
function summaryOf(feature) {
  const { name, vendor, allocations, parts, waiting } = feature
  const grantable = parts.idle + parts.free
  const whole = allocations + parts.owed
  return [
    h(
      'span',
      { class: 'head' },
      h('span', { class: 'name' }, name),
      vendor !== undefined && h('span', { class: 'quiet vendor' }, vendor),
      h(
        'span',
        { class: 'marks' },
        waiting > 0 && h('span', { class: 'tag silent' }, `${figure(waiting)} waiting`),
        parts.dark > 0 && h('span', { class: 'tag' }, `${figure(parts.dark)} dark`),
        parts.owed > 0 && h('span', { class: 'tag down' }, `${figure(parts.owed)} owed`),
        h(
          'span',
          { class: 'count' },
          h('b', {}, figure(parts.inUse)),
          ` of ${figure(allocations)} in use`,
        ),
        h('span', { class: 'quiet' }, grantable > 0 ? `${figure(grantable)} left` : 'none left'),
      ),
    ),
    bar(partsOf(parts), whole),
  ]
}

/** @param {FeatureReport} feature */
function sharesOf({ shares, even, endsAt, parts }) {
  const largest = Math.max(1, parts.free, ...shares.map(({ share }) => share))
  const rows = shares
    .filter(({ share, target, waiting }) => share + target + waiting > 0)
    .map(row => {
      const { server, share, target, borrowed, waiting, live, inUse, idle, dark } = row
      const drawn = partsOf({ inUse, idle, dark, owed: 0, free: 0 })
      const remark = [
        borrowed > 0
          ? `${figure(borrowed)} borrowed`
          : share < target
            ? `${figure(target - share)} lent`
            : '',
        waiting > 0 ? `${figure(waiting)} waiting` : '',
      ].filter(text => text !== '')
      return h(
        'tr',
        {},
        h('th', { scope: 'row' }, server),
        h('td', { class: 'track' }, bar(drawn, largest)),
        h('td', { class: 'figure' }, (live ? '' : '~') + figure(inUse)),
        h('td', { class: 'figure' }, figure(share)),
        h('td', { class: 'figure' }, figure(target)),
        h('td', { class: 'wide' }, remark.join(', ')),
      )
    })
  if (parts.free > 0) {
    const free = partsOf({ inUse: 0, idle: 0, dark: 0, owed: 0, free: parts.free })
    rows.push(
      h(
        'tr',
        {},
        h('th', { scope: 'row' }, h('i', {}, 'free pool')),
        h('td', { class: 'track' }, bar(free, largest)),
        h('td', { class: 'figure' }, ''),
        h('td', { class: 'figure' }, figure(parts.free)),
        h('td', { class: 'figure' }, ''),
        h('td', { class: 'wide' }, ''),
      ),
    )
  }
  const ends =
    endsAt === undefined ? '' : ` A license code ends on ${new Date(endsAt).toLocaleString()}.`
  return h(
    'div',
    {},
    h(
      'table',
      {},
      h('caption', { class: 'quiet' }, `${even ? 'Targets are even.' : 'Targets are set.'}${ends}`),
      h('thead', {}, h('tr', {}, ...columns())),
      h('tbody', {}, ...rows),
    ),
  )
}

function columns() {
  return [
    h('th', { scope: 'col' }, 'Server'),
    h('td', { class: 'track' }),
    h('th', { scope: 'col', class: 'figure' }, 'In use'),
    h('th', { scope: 'col', class: 'figure' }, 'Share'),
    h('th', { scope: 'col', class: 'figure' }, 'Target'),
    h('th', { scope: 'col', class: 'wide' }, 'Remark'),
  ]
}

const kinds = {
  expired: 'their clients fell silent; a move may still come to light',
  moved: 'moved here, and not renewed yet',
  relearning: 'the server crashed, and seats of before may be held',
  silent: 'not heard; it may be granting till then',
  down: 'its server is down; whoever runs short borrows them',
  held: 'the pool was restored or recovered',
  owed: 'their license code ended while they were owned; they go as seats end',
}

/** @param {FeatureReport} feature */
function darkOf({ dark }) {
  if (dark.length === 0) return []
  const rows = dark.map(({ kind, count, server, lastInMs }) => {
    const where = server === undefined ? '' : ` at ${server}`
    const back =
      lastInMs === undefined ? '' : lastInMs > 0 ? `, back in ${duration(lastInMs)}` : ', back now'
    return h('li', {}, h('b', {}, `${figure(count)} ${kind}${where}${back}`), ` — ${kinds[kind]}`)
  })
  return [h('ul', { class: 'darks' }, ...rows)]
}
