/**
 * Elements from text and nothing but text: no markup is ever parsed, so that a hostile name stays a name.
 */

/**
 * @typedef {Record<string, string | number | boolean | undefined | ((event: Event) => void)>} Attributes
 * @typedef {Node | string | number | false | undefined} Child
 */

/**
 * `true` sets an attribute without a value, `false` and `undefined` leave it out, a function listens.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value))
  }
  put(element, ...children)
  return element
}

/**
 * Replaces what is in an element.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function put(element, ...children) {
  const shown = children.filter(child => child !== false && child !== undefined)
  element.replaceChildren(...shown.map(child => (child instanceof Node ? child : String(child))))
}

/**
 * Changes text only where it differs, so that screen readers and selections are left alone.
 *
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/**
 * @template {Element} Wanted
 * @param {string} id
 * @param {{ new (): Wanted }} type
 * @returns {Wanted}
 */
export function find(id, type) {
  const element = document.getElementById(id)
  if (element instanceof type) return element
  throw new Error(`no ${id}`)
}

const figures = new Intl.NumberFormat('en')

/** @param {number} value */
export function figure(value) {
  return figures.format(value)
}

/**
 * Whole seconds, minutes, hours or days: the largest that says enough.
 *
 * @param {number} ms
 */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/**
 * Buttons to the pages before and after.
 *
 * @param {HTMLElement} place
 * @param {{ text: string, before: (() => void) | undefined, after: (() => void) | undefined }} pages
 */
export function pager(place, { text, before, after }) {
  place.hidden = before === undefined && after === undefined
  const focused = document.activeElement?.textContent
  const button = (/** @type {string} */ name, /** @type {(() => void) | undefined} */ go) =>
    h('button', { type: 'button', disabled: go === undefined, ...(go ? { click: go } : {}) }, name)
  put(place, button('Previous', before), h('span', { class: 'quiet' }, text), button('Next', after))
  // Who pages by keyboard stays on the button.
  for (const each of place.querySelectorAll('button'))
    if (each.textContent === focused) each.focus()
}
