/** A feature's past: in use, owned and denied over time, and how many seats would have been enough. */
import { Chart } from './chart.js'
import { figure, h, pager, put, say } from './dom.js'

/**
 * @typedef {import('../http/usage-query.ts').UsageAnswer} UsageAnswer
 * @typedef {(path: string) => Promise<any>} Ask
 */

const againMs = 20_000
const rowsMax = 24
const neededMax = 12
const dayMs = 86_400_000

const spans = /** @type {const} */ ({
  hour: { name: 'the last hour', from: '60m', unit: 'minute' },
  day: { name: 'the last day', from: '24h', unit: 'minute' },
  week: { name: 'the last 7 days', from: '7d', unit: 'hour' },
  month: { name: 'the last 30 days', from: '30d', unit: 'hour' },
  year: { name: 'the last year', from: '365d', unit: 'day' },
  all: { name: 'the last 3 years', from: '1095d', unit: 'day' },
})
/** @typedef {keyof typeof spans} Span */

/** What was chosen last: one choice for all features. @type {Span} */
let chosen = 'hour'

/** @param {string} text @returns {text is Span} */
function isSpan(text) {
  return Object.hasOwn(spans, text)
}

const short = new Intl.DateTimeFormat('en', {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
})
const day = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeZone: 'UTC' })

export class History {
  #feature
  #ask
  #span = h(
    'select',
    {},
    ...Object.entries(spans).map(([value, { name }]) => h('option', { value }, name)),
  )
  #says = h('p', {})
  #chart = new Chart()
  #curve = new Chart()
  #trouble = h('p', { class: 'quiet', hidden: true })
  #table = h('table', {})
  #pages = h('div', { class: 'pages', hidden: true })
  #figures = h('div', { class: 'figures', hidden: true }, this.#table, this.#pages)
  #needed = h('div', { class: 'needed' })
  #button = h('button', { type: 'button', 'aria-expanded': 'false' }, 'Show the figures')
  /** @type {number | undefined} */ #timer
  #isOpen = false
  #question = 0
  #page = 0
  /** @type {UsageAnswer | undefined} */ #shown
  element

  /**
   * @param {string} feature
   * @param {Ask} ask
   */
  constructor(feature, ask) {
    this.#feature = feature
    this.#ask = ask
    this.#span.addEventListener('change', () => {
      if (isSpan(this.#span.value)) chosen = this.#span.value
      this.#page = 0
      void this.#look()
    })
    this.#button.addEventListener('click', () => {
      const isShown = this.#figures.hidden
      this.#figures.hidden = !isShown
      this.#button.setAttribute('aria-expanded', String(isShown))
      say(this.#button, isShown ? 'Hide the figures' : 'Show the figures')
    })
    this.element = h(
      'section',
      { class: 'past', 'aria-label': `History of ${feature}` },
      h('div', { class: 'title' }, h('h3', {}, 'History'), h('label', {}, 'Time ', this.#span)),
      this.#says,
      h(
        'ul',
        { class: 'legend', 'aria-label': 'Colours of the chart' },
        h('li', {}, h('i', { class: 'part used' }), 'in use'),
        h('li', {}, h('i', { class: 'part line' }), 'owned by the pool'),
        h('li', {}, h('i', { class: 'part denied' }), 'denied (scale on the right)'),
      ),
      this.#trouble,
      this.#chart.element,
      this.#button,
      this.#figures,
      h('h3', {}, 'How many seats would have been enough?'),
      h('div', { class: 'enough' }, this.#curve.element, this.#needed),
    )
  }

  /** @param {boolean} now */
  open(now) {
    this.#isOpen = now
    clearTimeout(this.#timer)
    if (!now) return
    this.#span.value = chosen
    void this.#look()
  }

  /** It is shown no more. */
  close() {
    this.open(false)
    this.#chart.close()
    this.#curve.close()
  }

  async #look() {
    clearTimeout(this.#timer)
    const question = ++this.#question
    const { from, unit } = spans[chosen]
    const query = new URLSearchParams({ feature: this.#feature, unit, from })
    try {
      /** @type {UsageAnswer} */
      const usage = await this.#ask(`/api/usage?${query}`)
      // Another span was chosen meanwhile.
      if (question !== this.#question) return
      this.#shown = usage
      this.#tell(usage)
      await this.#draw(usage)
      this.#trouble.hidden = true
    } catch (error) {
      if (question !== this.#question) return
      // What was drawn before stays: the server is lost, or slow.
      this.#trouble.hidden = false
      say(this.#trouble, error instanceof Error ? error.message : String(error))
    }
    if (this.#isOpen) this.#timer = window.setTimeout(() => void this.#look(), againMs)
  }

  /** @param {UsageAnswer} usage */
  #tell(usage) {
    const { inUse, kept } = usage
    const most = Math.max(0, ...inUse)
    const denied = totals(usage).reduce((sum, count) => sum + count, 0)
    const granted = usage.granted.reduce((sum, count) => sum + count, 0)
    say(
      this.#says,
      kept
        ? `At most ${figure(most)} in use at once; ${figure(granted)} granted, ${figure(denied)} denied.`
        : 'This pool goes by the rules of an earlier version, which keep no history: licd ctl upgrade.',
    )
    this.#list(usage)
    const owned = usage.owned.at(-1)
    put(this.#needed, ...neededOf(usage, owned))
  }

  /** @param {UsageAnswer} usage */
  async #draw(usage) {
    const { unit, at, inUse, owned } = usage
    const denied = totals(usage)
    await this.#chart.show({
      at: at.map(ms => ms / 1000),
      isTime: true,
      lines: [
        { name: 'in use', colour: '--accent', kind: 'area', values: inUse },
        { name: 'owned', colour: '--quiet', kind: 'line', values: owned },
        // Nothing denied is nothing drawn.
        {
          name: 'denied',
          colour: '--bad-text',
          kind: 'bars',
          values: denied.map(count => count || null),
        },
      ],
      says: `Chart of seats in use over ${spans[chosen].name}.`,
      readout: index => {
        const of = owned[index]
        return `${timeOf(at[index] ?? 0, unit)}: ${figure(inUse[index] ?? 0)} in use${typeof of === 'number' ? ` of ${figure(of)}` : ''}, ${figure(denied[index] ?? 0)} denied`
      },
    })
    const rows = [...usage.needed].reverse()
    await this.#curve.show({
      at: rows.map(({ seats }) => seats),
      isTime: false,
      unit: '% of the time',
      lines: [
        {
          name: 'enough',
          colour: '--accent',
          kind: 'area',
          values: rows.map(({ short }) => share(at.length - short, at.length)),
        },
      ],
      says: 'Chart of how much of the time so many seats would have been enough.',
      readout: index => {
        const row = rows[index]
        return row === undefined
          ? ''
          : `${figure(row.seats)} seats: enough ${share(at.length - row.short, at.length)} % of the time`
      },
    })
  }

  /** The figures behind the chart, the latest first. @param {UsageAnswer} usage */
  #list(usage) {
    const { at, unit, inUse, owned, waiting, granted, denied } = usage
    const last = Math.max(0, Math.ceil(at.length / rowsMax) - 1)
    this.#page = Math.min(this.#page, last)
    const end = at.length - this.#page * rowsMax
    const start = Math.max(0, end - rowsMax)
    const rows = []
    for (let n = end - 1; n >= start; n--) {
      const cells = [
        inUse[n],
        owned[n] ?? '—',
        waiting[n],
        granted[n],
        (denied['no-seat'][n] ?? 0) + (denied.timeout[n] ?? 0),
        (denied['no-lease'][n] ?? 0) + (denied.other[n] ?? 0),
      ]
      rows.push(
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, timeOf(at[n] ?? 0, unit)),
          ...cells.map((cell, n) =>
            h('td', { class: classOf(n) }, typeof cell === 'number' ? figure(cell) : cell),
          ),
        ),
      )
    }
    const titles = ['In use', 'Owned', 'Waiting', 'Granted', 'Denied: no seat', 'Denied: other']
    put(
      this.#table,
      h(
        'caption',
        { class: 'quiet' },
        `${this.#feature} by the ${unit}; in use is the most at any moment of it`,
      ),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, unit === 'day' ? 'Day (UTC)' : 'From'),
          ...titles.map((title, n) => h('th', { scope: 'col', class: classOf(n) }, title)),
        ),
      ),
      h('tbody', {}, ...rows),
    )
    const turn = (/** @type {number} */ by) => () => {
      this.#page += by
      if (this.#shown !== undefined) this.#list(this.#shown)
    }
    pager(this.#pages, {
      text: `${figure(at.length - end + 1)}–${figure(at.length - start)} of ${figure(at.length)}`,
      before: this.#page > 0 ? turn(-1) : undefined,
      after: this.#page < last ? turn(1) : undefined,
    })
  }
}

/** A phone shows in use, owned, and denied for want of a seat. @param {number} column */
function classOf(column) {
  return [2, 3, 5].includes(column) ? 'figure wide' : 'figure'
}

/** @param {UsageAnswer} usage */
function totals({ denied }) {
  return denied['no-seat'].map(
    (count, n) =>
      count + (denied.timeout[n] ?? 0) + (denied['no-lease'][n] ?? 0) + (denied.other[n] ?? 0),
  )
}

/**
 * @param {number} part
 * @param {number} all
 */
function share(part, all) {
  return all === 0 ? 100 : Math.round((1000 * part) / all) / 10
}

/**
 * @param {number} ms
 * @param {UsageAnswer['unit']} unit
 */
function timeOf(ms, unit) {
  return unit === 'day' ? day.format(ms - (ms % dayMs)) : short.format(ms)
}

/**
 * @param {UsageAnswer} usage
 * @param {number | null | undefined} owned
 */
function neededOf({ needed, at, unit }, owned) {
  const rows = needed
    .slice(0, neededMax)
    .map(({ seats, short: few, denied }) =>
      h(
        'tr',
        {},
        h(
          'th',
          { scope: 'row' },
          figure(seats),
          seats === owned && h('span', { class: 'quiet' }, ' (owned)'),
        ),
        h('td', { class: 'figure' }, `${share(at.length - few, at.length)} %`),
        h('td', { class: 'figure' }, figure(few)),
        h('td', { class: 'figure' }, figure(denied)),
      ),
    )
  return [
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...[
            'Seats',
            'Enough for',
            `${unit[0]?.toUpperCase()}${unit.slice(1)}s short`,
            'Denied in those',
          ].map((title, n) =>
            h('th', { scope: 'col', class: n === 0 ? undefined : 'figure' }, title),
          ),
        ),
      ),
      h('tbody', {}, ...rows),
    ),
    h(
      'p',
      { class: 'quiet' },
      'Counted are seats in use, those waited for, and one for each request denied for want of a seat: who asks again and again is counted each time, so this is a bound from above.',
    ),
  ]
}
