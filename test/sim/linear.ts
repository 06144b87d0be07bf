/**
 * Is a history linearizable? Each operation must seem to happen at one moment between its call and its return, in an
 * order that the model allows (Herlihy and Wing); one whose outcome is unknown may have happened at any moment
 * after its call, or never.
 *
 * Wing and Gong's search with Lowe's memory of (operations taken, state), as Porcupine does it. What does not touch one
 * another is to be checked apart, key by key (P-compositionality): the search is exponential in what overlaps.
 */

export interface Operation<Input, Output> {
  readonly input: Input
  /** `undefined`: nobody knows. */
  readonly output: Output | undefined
  readonly calledAt: number
  /** Infinity: never, as far as anybody knows. */
  readonly returnedAt: number
}

export interface Model<State, Input, Output> {
  readonly initial: State
  /** The state after, or `undefined` when this output is impossible here. An unknown output is always possible. */
  step(state: State, input: Input, output: Output | undefined): State | undefined
  /** Equal for equal states, and for those alone. */
  key(state: State): string
}

/** `undecided`: the search was given up at its limit. */
export type Verdict = 'linearizable' | 'not-linearizable' | 'undecided'

interface Node<Input, Output> {
  readonly operation: Operation<Input, Output>
  readonly at: number
  readonly isCall: boolean
  readonly bit: bigint
  /** Of a call: its return. */
  match: Node<Input, Output> | undefined
  prev: Node<Input, Output> | undefined
  next: Node<Input, Output> | undefined
}

/** `limit`: so many steps of the model at most. */
export function checkLinearizable<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  limit = 200_000,
): Verdict {
  const head = listOf(operations)
  const seen = new Set<string>()
  const taken: { node: Node<Input, Output>; state: State }[] = []
  /** Operations whose outcome is known, and which are not yet taken. */
  let left = operations.filter(({ output }) => output !== undefined).length
  let { initial: state } = model
  let mask = 0n
  let steps = 0
  let node = head.next
  while (left > 0) {
    // Calls that overlap are tried one after the other, until a return is met that nobody has taken yet.
    if (node?.isCall === true) {
      if (++steps > limit) return 'undecided'
      const { operation, bit } = node
      const next = model.step(state, operation.input, operation.output)
      if (next !== undefined && isNew(seen, mask | bit, model.key(next))) {
        taken.push({ node, state })
        state = next
        mask |= bit
        if (operation.output !== undefined) left--
        lift(node)
        node = head.next
      } else node = node.next
      continue
    }
    const last = taken.pop()
    if (last === undefined) return 'not-linearizable'
    state = last.state
    mask &= ~last.node.bit
    if (last.node.operation.output !== undefined) left++
    unlift(last.node)
    node = last.node.next
  }
  return 'linearizable'
}

function isNew(seen: Set<string>, mask: bigint, key: string): boolean {
  const size = seen.size
  seen.add(`${mask.toString(36)} ${key}`)
  return seen.size > size
}

/** Calls and returns in the order of time; of equal times calls first, for they may overlap. */
function listOf<Input, Output>(
  operations: readonly Operation<Input, Output>[],
): Node<Input, Output> {
  const nodes: Node<Input, Output>[] = []
  const links = { prev: undefined, next: undefined }
  for (const [n, operation] of operations.entries()) {
    const bit = 1n << BigInt(n)
    const { calledAt, returnedAt } = operation
    const known = operation.output !== undefined
    const end = { operation, at: known ? returnedAt : Infinity, isCall: false, bit }
    const match: Node<Input, Output> = { ...end, ...links, match: undefined }
    nodes.push({ operation, at: calledAt, isCall: true, bit, match, ...links }, match)
  }
  nodes.sort((a, b) => (a.at === b.at ? Number(b.isCall) - Number(a.isCall) : a.at - b.at))
  const [first] = nodes
  const none = {
    operation: first?.operation,
    at: -Infinity,
    isCall: false,
    bit: 0n,
    match: undefined,
  }
  const head = { ...none, ...links } as Node<Input, Output>
  let last = head
  for (const node of nodes) {
    last.next = node
    node.prev = last
    last = node
  }
  return head
}

/** Takes a call and its return out of the list. */
function lift<Input, Output>(call: Node<Input, Output>): void {
  for (const node of [call, call.match]) {
    if (node?.prev !== undefined) node.prev.next = node.next
    if (node?.next !== undefined) node.next.prev = node.prev
  }
}

/** Puts them back where they were: they still know their neighbours. */
function unlift<Input, Output>(call: Node<Input, Output>): void {
  for (const node of [call.match, call]) {
    if (node?.prev !== undefined) node.prev.next = node
    if (node?.next !== undefined) node.next.prev = node
  }
}
