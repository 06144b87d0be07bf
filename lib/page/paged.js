/** A list that is asked for a page at a time: anew when its form changes, and every few seconds while it is looked at. */
import { figure, find, h, pager, put, say } from './dom.js'

const pageSize = 50
const againMs = 5000
const typingMs = 250

/** @typedef {Readonly<Record<string, HTMLInputElement | HTMLSelectElement>>} Fields */

/** @template {{ readonly next?: string | number | undefined, readonly total: number }} Found */
export class Paged {
  #options
  #count
  /** Where the pages before ended. @type {(string | number)[]} */
  #before = []
  /** @type {number | undefined} */ #timer
  #isOpen = false
  #question = 0

  /**
   * `name` is that of the form, of the place for the pages and of the count; `fields` are the question's, by name, and
   * `from` the name of the one that says where to go on. `show` draws what was found and says how many rows that are.
   *
   * @param {{
   *   ask: (path: string) => Promise<any>, name: string, fields: Fields, from: string, show: (found: Found) => number
   * }} options
   */
  constructor(options) {
    this.#options = options
    this.#count = find(`${options.name}-count`, HTMLElement)
    for (const field of Object.values(options.fields)) {
      const isTyped = field instanceof HTMLInputElement
      field.addEventListener(isTyped ? 'input' : 'change', () => {
        this.#before = []
        this.#later(isTyped ? typingMs : 0)
      })
    }
    const form = find(`${options.name}-form`, HTMLFormElement)
    form.addEventListener('submit', event => event.preventDefault())
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
    const { ask, name, fields, from } = this.#options
    const query = new URLSearchParams({ limit: String(pageSize) })
    for (const [field, { value }] of Object.entries(fields)) {
      if (value.trim() !== '') query.set(field, value.trim())
    }
    const last = this.#before.at(-1)
    if (last !== undefined) query.set(from, String(last))
    try {
      const found = await ask(`/api/${name}?${query}`)
      // Who types on has asked something else meanwhile.
      if (question !== this.#question) return
      this.#show(found)
    } catch (error) {
      if (question !== this.#question) return
      say(this.#count, error instanceof Error ? error.message : String(error))
    }
    if (this.#isOpen) this.#later(againMs)
  }

  /** @param {Found} found */
  #show(found) {
    const { name, show } = this.#options
    const rows = show(found)
    const { next, total } = found
    const first = this.#before.length * pageSize
    const go = (/** @type {() => void} */ step) => () => {
      step()
      this.#later(0)
    }
    pager(find(`${name}-pages`, HTMLElement), {
      text: rows === 0 ? '' : `${figure(first + 1)}–${figure(first + rows)} of ${figure(total)}`,
      before: this.#before.length === 0 ? undefined : go(() => this.#before.pop()),
      after: next === undefined ? undefined : go(() => this.#before.push(next)),
    })
  }
}

/**
 * What may be chosen, "all" first. What was chosen stays so while it is there.
 *
 * @param {HTMLSelectElement} select
 * @param {readonly string[]} names
 */
export function offer(select, names) {
  const { value, options } = select
  if (
    names.join('\n') ===
    [...options]
      .slice(1)
      .map(option => option.value)
      .join('\n')
  )
    return
  put(
    select,
    h('option', { value: '' }, 'all'),
    ...names.map(name => h('option', { value: name }, name)),
  )
  select.value = names.includes(value) ? value : ''
}
