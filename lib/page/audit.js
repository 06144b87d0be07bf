/** What operators did, or tried: the replicated audit log, the latest first. */
import { figure, find, h, put, say } from './dom.js'
import { offer, Paged } from './paged.js'

/**
 * @typedef {import('../http/audit-query.ts').AuditAnswer} AuditAnswer
 * @typedef {AuditAnswer['records'][number]} AuditRecord
 */

const body = find('audit', HTMLTableElement).tBodies[0]
const count = find('audit-count', HTMLElement)
const action = find('audit-action', HTMLSelectElement)
const clock = new Intl.DateTimeFormat('en', {
  dateStyle: 'medium',
  timeStyle: 'medium',
  hourCycle: 'h23',
})

export class Audit {
  /** @type {Paged<AuditAnswer>} */ #paged
  #shown = ''

  /** @param {(path: string) => Promise<any>} ask */
  constructor(ask) {
    const fields = {
      search: find('audit-search', HTMLInputElement),
      by: find('audit-by', HTMLInputElement),
      action,
      result: find('audit-result', HTMLSelectElement),
    }
    const show = (/** @type {AuditAnswer} */ found) => this.#show(found)
    this.#paged = new Paged({ ask, name: 'audit', fields, from: 'before', show })
  }

  /** @param {boolean} isOpen */
  open(isOpen) {
    this.#paged.open(isOpen)
  }

  /** @param {AuditAnswer} found */
  #show({ records, total, first, actions }) {
    const gone = first > 1 ? `; ${figure(first - 1)} older ones are gone` : ''
    say(count, `${figure(total)} ${total === 1 ? 'record' : 'records'}${gone}`)
    const text = JSON.stringify(records.map(({ seq }) => seq))
    // A list that is read is drawn anew only when it says something else.
    if (body !== undefined && text !== this.#shown) put(body, ...records.map(rowOf))
    this.#shown = text
    offer(action, actions)
    return records.length
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
