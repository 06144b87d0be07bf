/** What operators did, or tried: the replicated audit log, the latest first. */
import { figure, find, h, pager, put, say } from './dom.js'

/**
 * @typedef {import('../http/audit-query.ts').AuditAnswer} AuditAnswer
 * @typedef {AuditAnswer['records'][number]} AuditRecord
 */

const pageSize = 50
const againMs = 5000
const typingMs = 250
const body = find('audit', HTMLTableElement).tBodies[0]
const count = find('audit-count', HTMLElement)
const pages = find('audit-pages', HTMLElement)
const search = find('audit-search', HTMLInputElement)
const by = find('audit-by', HTMLInputElement)
const action = find('audit-action', HTMLSelectElement)
const result = find('audit-result', HTMLSelectElement)
const clock = new Intl.DateTimeFormat('en', {
  dateStyle: 'medium',
  timeStyle: 'medium',
  hourCycle: 'h23',
})

export class Audit {
  #ask
  /** Numbers of the last records of the pages before. @type {number[]} */
  #before = []
  /** @type {number | undefined} */ #timer
  #isOpen = false
  #question = 0
  #shown = ''
  #actions = ''

  /** @param {(path: string) => Promise<any>} ask */
  constructor(ask) {
    this.#ask = ask
    const anew = (/** @type {number} */ ms) => () => {
      this.#before = []
      this.#later(ms)
    }
    for (const input of [search, by]) input.addEventListener('input', anew(typingMs))
    for (const select of [action, result]) select.addEventListener('change', anew(0))
    find('audit-form', HTMLFormElement).addEventListener('submit', event => event.preventDefault())
  }

  /** @param {boolean} isOpen */
  open(isOpen) {
    this.#isOpen = isOpen
    if (isOpen) this.#later(0)
    else clearTimeout(this.#timer)
  }

  /** @param {number} ms */
  #later(ms) {
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => void this.#look(), ms)
  }

  async #look() {
    const question = ++this.#question
    const query = new URLSearchParams({ limit: String(pageSize) })
    const fields = {
      search: search.value,
      by: by.value,
      action: action.value,
      result: result.value,
    }
    for (const [name, value] of Object.entries(fields)) {
      if (value.trim() !== '') query.set(name, value.trim())
    }
    const before = this.#before.at(-1)
    if (before !== undefined) query.set('before', String(before))
    try {
      /** @type {AuditAnswer} */
      const found = await this.#ask(`/api/audit?${query}`)
      // Who types on has asked something else meanwhile.
      if (question !== this.#question) return
      this.#show(found)
    } catch (error) {
      if (question !== this.#question) return
      say(count, error instanceof Error ? error.message : String(error))
    }
    if (this.#isOpen) this.#later(againMs)
  }

  /** @param {AuditAnswer} found */
  #show({ records, next, total, first, actions }) {
    const gone = first > 1 ? `; ${figure(first - 1)} older ones are gone` : ''
    say(count, `${figure(total)} ${total === 1 ? 'record' : 'records'}${gone}`)
    const text = JSON.stringify(records.map(({ seq }) => seq))
    // A list that is read is drawn anew only when it says something else.
    if (body !== undefined && text !== this.#shown) put(body, ...records.map(rowOf))
    this.#shown = text
    this.#choose(actions)
    const from = this.#before.length * pageSize
    pager(pages, {
      text: `${figure(from + 1)}–${figure(from + records.length)} of ${figure(total)}`,
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

  /** @param {readonly string[]} actions */
  #choose(actions) {
    const text = actions.join('\n')
    if (text === this.#actions) return
    this.#actions = text
    const { value } = action
    put(
      action,
      h('option', { value: '' }, 'all'),
      ...actions.map(name => h('option', { value: name }, name)),
    )
    action.value = actions.includes(value) ? value : ''
  }
}

/** @param {AuditRecord} record */
function rowOf({ at, by: who, action: what, subject = '', detail = '', outcome, id }) {
  const when = new Date(at)
  return h(
    'tr',
    { title: `command ${id}`, class: outcome === 'ok' ? undefined : 'warn' },
    h(
      'td',
      {},
      h('time', { datetime: when.toISOString() }, clock.format(when)),
      h('small', { class: 'narrow' }, who),
    ),
    h('td', { class: 'wide' }, who),
    h('th', { scope: 'row' }, what, h('small', { class: 'narrow' }, subject)),
    h('td', { class: 'wide' }, subject),
    h('td', { class: 'wide' }, detail),
    h('td', {}, outcome === 'ok' ? 'ok' : h('span', { class: 'tag down' }, outcome)),
  )
}
