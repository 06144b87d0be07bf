/**
 * Subjects, and who subscribed to what: the broker's routing table.
 *
 * A subject is tokens joined by dots; in a subscription `*` stands for one token and a last `>` for one or
 * more. The table is a tree with one level a token, so a message visits only what may match it.
 *
 * Invariant: every subscription added and not removed is found by exactly the subjects it matches, and an
 * empty branch is cut off, so that the table is no larger than the subscriptions in it.
 */
import assert from 'node:assert/strict'

/** A subscription with more tokens is refused: one of 2,000 would cost that many levels. (No bound in NATS.) */
export const tokensMax = 64

/** True for a subject one may publish to: no empty token, no wildcard, no blank. */
export function isSubject(subject: string): boolean {
  return isPattern(subject) && !subject.split('.').some(token => token === '*' || token === '>')
}

/** True for what one may subscribe to: no empty token, no blank, `>` only as the last token. */
export function isPattern(pattern: string): boolean {
  const tokens = pattern.split('.')
  return (
    tokens.length <= tokensMax &&
    !/[ \t\r\n]/.test(pattern) &&
    tokens.every((token, at) => token !== '' && (token !== '>' || at === tokens.length - 1))
  )
}

/** True when a message to `subject` reaches a subscription to `pattern`. */
export function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.')
  const tokens = subject.split('.')
  if (tokens.includes('')) return false
  const rest = wanted.at(-1) === '>'
  if (rest ? tokens.length < wanted.length : tokens.length !== wanted.length) return false
  return wanted.every((token, at) => token === '*' || token === '>' || token === tokens[at])
}

export interface Interest {
  readonly subject: string
  /** One member of each queue gets a message; members are of one queue if its name is, whatever the subject. */
  readonly queue: string | undefined
}

/** Who gets a message: all of `plain`, one of each list in `queues`. */
export interface Route<T extends Interest> {
  readonly plain: T[]
  readonly queues: Map<string, T[]>
}

interface Branch<T> {
  readonly next: Map<string, Branch<T>>
  /** Those whose subject ends here; insertion order is the order of delivery. */
  readonly here: Set<T>
}

export class RoutingTable<T extends Interest> {
  readonly #root: Branch<T> = { next: new Map(), here: new Set() }

  /** The subject has been checked with {@link isPattern}. */
  add(interest: T): void {
    assert(isPattern(interest.subject))
    let branch = this.#root
    for (const token of interest.subject.split('.')) {
      let next = branch.next.get(token)
      if (next === undefined) {
        next = { next: new Map(), here: new Set() }
        branch.next.set(token, next)
      }
      branch = next
    }
    branch.here.add(interest)
  }

  /** Removing what is not there does nothing. */
  remove(interest: T): void {
    const path: { branch: Branch<T>; token: string }[] = []
    let branch = this.#root
    for (const token of interest.subject.split('.')) {
      const next = branch.next.get(token)
      if (next === undefined) return
      path.push({ branch, token })
      branch = next
    }
    branch.here.delete(interest)
    for (const { branch: above, token } of path.reverse()) {
      const below = above.next.get(token)
      if (below === undefined || below.here.size > 0 || below.next.size > 0) return
      above.next.delete(token)
    }
  }

  /** Who a message to `subject` goes to. Wildcards in it are plain tokens; with an empty token it reaches nobody. */
  route(subject: string): Route<T> {
    const route: Route<T> = { plain: [], queues: new Map() }
    const tokens = subject.split('.')
    if (!tokens.includes('')) collect(this.#root, tokens, 0, route)
    return route
  }

  get empty(): boolean {
    return this.#root.next.size === 0
  }
}

/** No deeper than the tree, which is no deeper than `tokensMax`. */
function collect<T extends Interest>(
  branch: Branch<T>,
  tokens: readonly string[],
  at: number,
  route: Route<T>,
): void {
  const token = tokens[at]
  if (token === undefined) {
    take(branch.here, route)
    return
  }
  const rest = branch.next.get('>')
  if (rest !== undefined) take(rest.here, route)
  const any = branch.next.get('*')
  if (any !== undefined) collect(any, tokens, at + 1, route)
  // A published `*` or `>` is only a name, and its branch was taken above.
  const next = token === '*' || token === '>' ? undefined : branch.next.get(token)
  if (next !== undefined) collect(next, tokens, at + 1, route)
}

function take<T extends Interest>(here: ReadonlySet<T>, route: Route<T>): void {
  for (const interest of here) {
    if (interest.queue === undefined) {
      route.plain.push(interest)
      continue
    }
    const members = route.queues.get(interest.queue)
    if (members === undefined) route.queues.set(interest.queue, [interest])
    else members.push(interest)
  }
}
