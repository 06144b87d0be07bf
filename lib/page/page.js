/** The page: what comes from the feed goes to the parts, and the address says which view is shown. */
import { Audit } from './audit.js'
import { duration, find, say } from './dom.js'
import { Features } from './features.js'
import { Feed } from './feed.js'
import { showNews } from './news.js'
import { Seats } from './seats.js'
import { showServers } from './servers.js'

/**
 * @typedef {import('./feed.js').PoolHead} PoolHead
 * @typedef {import('./feed.js').FeedState} FeedState
 */

const live = find('live', HTMLElement)
const notice = find('notice', HTMLElement)
/** @type {PoolHead | undefined} */
let head
/** @type {FeedState | undefined} */
let state

/** @param {string} path */
const ask = path => feed.ask(path)
const features = new Features(ask)
const seats = new Seats(ask)
const audit = new Audit(ask)
const feed = new Feed({
  pool(next) {
    head = next
    document.title = `${next.pool} – licd`
    say(find('name', HTMLElement), next.pool)
    showServers(next)
  },
  features(event) {
    features.take(event)
    seats.features(features.names)
  },
  news: showNews,
  state(next) {
    state = next
    tell()
  },
})

function tell() {
  if (state === undefined) return
  const { kind, server, home } = state
  const isElsewhere = home !== '' && server !== home
  live.className = kind === 'live' && !isElsewhere ? 'live' : 'live away'
  say(live, kind === 'live' ? `Live from ${server}` : 'Reconnecting …')
  const texts = noticesOf(kind === 'live' ? head : undefined)
  if (kind === 'lost')
    texts.unshift(`${server === '' ? 'The server' : server} does not answer. Looking for another …`)
  else if (isElsewhere) {
    texts.unshift(`${home}, whose page this is, does not answer. This is what ${server} says.`)
  }
  notice.hidden = texts.length === 0
  say(notice, texts.join(' '))
}

/**
 * @param {PoolHead | undefined} head
 * @returns {string[]}
 */
function noticesOf(head) {
  if (head === undefined) return []
  const { leader, tickAgeMs, tickMs, heldMs } = head
  const texts = []
  if (heldMs !== undefined) {
    texts.push(`The pool was restored or recovered: it serves in ${duration(heldMs)}.`)
  }
  if (leader === undefined || tickAgeMs > 3 * tickMs + 1000) {
    texts.push(
      'No leader is heard: servers grant from their shares until their leases end, and nothing is borrowed.',
    )
  }
  return texts
}

const views = /** @type {const} */ (['pool', 'seats', 'audit'])

function route() {
  const here = views.find(name => location.hash === `#${name}`) ?? 'pool'
  for (const name of views) {
    find(`view-${name}`, HTMLElement).hidden = name !== here
    const link = find(`nav-${name}`, HTMLElement)
    if (name === here) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  seats.open(here === 'seats')
  audit.open(here === 'audit')
}

addEventListener('hashchange', route)
route()
