/** Why a seat can be had or not, and why one was denied: the answer of `licd ctl why`. */
import { duration, figure, h, put } from './dom.js'

/**
 * @typedef {import('../ctl/why.ts').WhyView & { verdict: import('../ctl/verdict.ts').Verdict }} Why
 * @typedef {import('../ctl/why.ts').ServerDenial} ServerDenial
 */

const againMs = 3000

/**
 * @param {string} feature
 * @param {(path: string) => Promise<any>} ask
 */
export function whyPanel(feature, ask) {
  const answer = h('div', {})
  const user = h('input', { type: 'search', maxlength: 128, placeholder: 'all users' })
  const element = h(
    'section',
    { class: 'why', 'aria-label': `Why seats of ${feature} are granted or denied` },
    h('div', { class: 'title' }, h('h3', {}, 'Why'), h('label', {}, 'Denials of ', user)),
    answer,
  )
  let isOpen = false
  /** @type {number | undefined} */
  let timer
  let shown = ''
  const look = async () => {
    clearTimeout(timer)
    const of = user.value.trim()
    const query = new URLSearchParams(of === '' ? { feature } : { feature, user: of })
    try {
      /** @type {Why} */
      const why = await ask(`/api/why?${query}`)
      // A list that is read must not jump: it is drawn anew when it says something else.
      const text = JSON.stringify([
        why.verdict,
        why.denials.map(({ times, user }) => [times, user]),
      ])
      if (text !== shown) put(answer, ...draw(why))
      shown = text
    } catch (error) {
      // The server is lost, or slow: what it said last is worth more than that.
      if (shown === '')
        put(
          answer,
          h('p', { class: 'quiet' }, error instanceof Error ? error.message : String(error)),
        )
    }
    if (isOpen) timer = window.setTimeout(() => void look(), againMs)
  }
  user.addEventListener('change', () => void look())
  return {
    element,
    /** @param {boolean} now */
    open(now) {
      isOpen = now
      clearTimeout(timer)
      if (now) void look()
    },
  }
}

/** @param {Why} why */
function draw({ verdict, denials, user }) {
  const who = user === undefined ? '' : ` of ${user}`
  return [
    h('p', {}, verdict.says.join(' ')),
    verdict.toDo.length > 0 && h('p', {}, h('b', {}, 'To do: '), verdict.toDo.join(' ')),
    denials.length === 0
      ? h('p', { class: 'quiet' }, `No denials${who} are remembered.`)
      : h('ol', { class: 'denials' }, ...denials.map(denialOf)),
  ]
}

/** @param {ServerDenial} denial */
function denialOf({ user, host, count, server, code, what, times, agoMs, tried, detail }) {
  const who = `${user === '' ? 'somebody' : user}${host === '' ? '' : `@${host}`}`
  const asked = what === 'renew' ? 'renewing a seat' : `asking for ${figure(count)}`
  const often = times > 1 ? ` (${figure(times)} times)` : ''
  return h(
    'li',
    {},
    h(
      'p',
      {},
      h('b', {}, who),
      ` ${asked} at ${server}: `,
      h('code', {}, code),
      `${often}, ${duration(agoMs)} ago`,
    ),
    tried.length === 0
      ? h('p', { class: 'quiet' }, detail)
      : h('dl', {}, ...tried.flatMap(({ source, why }) => [h('dt', {}, source), h('dd', {}, why)])),
  )
}
