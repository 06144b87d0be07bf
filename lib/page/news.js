/** What happened, the latest first. */
import { find, h } from './dom.js'

/** @typedef {import('../http/news.ts').News} News */

const shownMax = 100
const list = find('news', HTMLOListElement)
const none = find('news-none', HTMLElement)
const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})

/**
 * @param {readonly News[]} news The oldest first.
 * @param {boolean} isAnew They are another server's: what was told before is told again.
 */
export function showNews(news, isAnew) {
  if (isAnew) list.replaceChildren()
  for (const { at, kind, text } of news) {
    const date = new Date(at)
    const time = h('time', { datetime: date.toISOString() }, clock.format(date))
    list.prepend(h('li', { class: `kind-${kind}` }, time, h('span', {}, text)))
  }
  while (list.children.length > shownMax) list.lastElementChild?.remove()
  none.hidden = list.children.length > 0
}
