/**
 * Judges what operators were told in a chaos run: every change took effect once (I4), at one moment between its call and
 * its return (linearizable), and what was acknowledged is there in the end, on every server (I6), in one history (I5).
 *
 * Changes of codes are checked as a register per code with the search of `test/sim/linear.ts`: added once, removed once,
 * refused otherwise. All that succeeded carry the ledger's revision, which must follow their order in real time.
 */
import { checkLinearizable, type Model, type Operation } from '../sim/linear.ts'
import { endingsOf, type Ending, type Violation } from './checker.ts'
import type { Line, OperatorLine, SampleLine } from './history.ts'

type Call = Extract<OperatorLine, { k: 'call' }>

/** A change with all that is known of it. Times are those of the first answer. */
interface Change extends Ending {
  readonly call: Call
  /** Infinity while nobody had told how it ended. */
  readonly returnedAt: number
}

export interface CommandCheck {
  readonly violations: Violation[]
  readonly changes: number
  readonly acknowledged: number
  readonly refused: number
  /** Never answered while the storm lasted; settled by id afterwards, or never to be known. */
  readonly unanswered: number
  readonly stillUnknown: number
  /** Sent again with the same id after they were acknowledged. */
  readonly repeated: number
}

export function checkCommands(lines: readonly Line[], finals: readonly SampleLine[]): CommandCheck {
  const changes = changesOf(lines)
  const list = [...changes.values()]
  const again = lines.filter(line => line.k === 'again')
  const violations = [
    ...checkRevisions(list),
    ...again.flatMap(line => checkAgain(line, changes.get(line.id))),
    ...checkCodes(list),
    ...checkFinals(list, finals),
    ...checkSamples(lines),
  ]
  const unanswered = list.filter(({ returnedAt }) => returnedAt === Infinity)
  return {
    violations,
    changes: list.length,
    acknowledged: list.filter(({ revision }) => revision !== undefined).length,
    refused: list.filter(({ refused }) => refused).length,
    unanswered: unanswered.length,
    stillUnknown: list.filter(isUnknown).length,
    repeated: again.length,
  }
}

function isUnknown({ revision, refused }: Ending): boolean {
  return revision === undefined && !refused
}

function changesOf(lines: readonly Line[]): Map<string, Change> {
  const endings = endingsOf(lines)
  const returned = new Map<string, number>()
  for (const line of lines) {
    const isTold = line.k === 'return' && (line.revision ?? line.refusal) !== undefined
    if (isTold) returned.set(line.id, line.t)
  }
  const changes = new Map<string, Change>()
  for (const line of lines) {
    if (line.k !== 'call') continue
    const ending = endings.get(line.id) ?? {
      revision: undefined,
      refused: false,
      refusal: undefined,
    }
    changes.set(line.id, { ...ending, call: line, returnedAt: returned.get(line.id) ?? Infinity })
  }
  return changes
}

/** One revision each, and in the order of time: what returned before another was called has the lower one. */
function checkRevisions(changes: readonly Change[]): Violation[] {
  const violations: Violation[] = []
  const done = changes.flatMap(({ call, returnedAt, revision }) =>
    revision === undefined ? [] : [{ call, returnedAt, revision }],
  )
  for (const a of done) {
    for (const b of done) {
      if (a === b) continue
      const isLate = a.returnedAt < b.call.t && a.revision > b.revision
      // A change of criteria to what they were makes no revision; what adds or removes makes one.
      const isShared =
        a.revision === b.revision && [a, b].every(({ call }) => call.change !== 'criteria-set')
      if (isLate || (isShared && a.call.id < b.call.id)) {
        const what = `${a.call.change} ${a.call.id} has revision ${a.revision}, ${b.call.change} ${b.call.id} ${b.revision}`
        violations.push({ rule: 'linearizable', t: b.call.t, what })
      }
    }
  }
  return violations
}

/**
 * I4: sent again it has taken effect where it did. Whether that is called a repetition is up to the server: one that had a
 * copy of its own under way says no.
 */
function checkAgain(
  line: Extract<OperatorLine, { k: 'again' }>,
  change: Change | undefined,
): Violation[] {
  const { id, t, revision, refusal } = line
  // Nobody answered: that says nothing.
  if (revision === undefined && refusal === undefined) return []
  if (change?.revision === revision) return []
  const told = revision === undefined ? `refused with ${String(refusal)}` : `revision ${revision}`
  const what = `change ${id} was acknowledged at revision ${String(change?.revision)}; sent again: ${told}`
  return [{ rule: 'I4', t, what }]
}

type CodeState = 'absent' | 'present' | 'ended'
type CodeChange = 'code-add' | 'code-remove'

const codeModel: Model<CodeState, CodeChange, 'done' | 'refused'> = {
  initial: 'absent',
  step(state, input, output) {
    const fits = input === 'code-add' ? state === 'absent' : state === 'present'
    if (output === 'refused') return fits ? undefined : state
    if (fits) return input === 'code-add' ? 'present' : 'ended'
    return output === 'done' ? undefined : state
  },
  key: state => state,
}

/** Refusals that speak of the code; others (a full server, say) say nothing of its state. */
const codeRefusals = new Set(['LICD_CODE_EXISTS', 'LICD_UNKNOWN_CODE', 'LICD_UNKNOWN_FEATURE'])

function checkCodes(changes: readonly Change[]): Violation[] {
  const byCode = new Map<string, Operation<CodeChange, 'done' | 'refused'>[]>()
  for (const { call, revision, refusal, returnedAt } of changes) {
    const { change, codeId } = call
    if (codeId === undefined || (change !== 'code-add' && change !== 'code-remove')) continue
    if (refusal !== undefined && !codeRefusals.has(refusal)) continue
    const known = revision !== undefined || refusal !== undefined
    const output = known ? (revision === undefined ? ('refused' as const) : 'done') : undefined
    const list = byCode.get(codeId) ?? []
    byCode.set(codeId, list)
    // What was told in the end only: it took effect at some time after the call.
    list.push({ input: change, output, calledAt: call.t, returnedAt })
  }
  return [...byCode].flatMap(([codeId, operations]) => {
    const verdict = checkLinearizable(codeModel, operations)
    if (verdict === 'linearizable') return []
    const what = `changes of code ${codeId} are ${verdict}`
    return [{ rule: 'linearizable', t: operations[0]?.calledAt ?? 0, what } as const]
  })
}

/** Nothing acknowledged is lost, nothing took effect twice: the sums say so, on every server. */
function checkFinals(changes: readonly Change[], finals: readonly SampleLine[]): Violation[] {
  const violations: Violation[] = []
  const [first] = finals
  if (first === undefined) return [{ rule: 'lost', t: 0, what: 'no server told its final table' }]
  for (const final of finals) {
    const isSame = JSON.stringify(final.features) === JSON.stringify(first.features)
    if (!isSame || final.differing.length > 0) {
      const what = `${final.server} ends with another table than ${first.server}`
      violations.push({ rule: 'I5', t: final.t, what })
    }
  }
  const added = new Map<string, { sure: number; maybe: number; lessSure: number; less: number }>()
  const adds = new Map<string, number>()
  for (const { call } of changes) {
    if (call.change === 'code-add') adds.set(call.codeId ?? '', call.adds)
  }
  for (const change of changes) {
    const { call, refused, revision } = change
    const sums = added.get(call.feature) ?? { sure: 0, maybe: 0, lessSure: 0, less: 0 }
    added.set(call.feature, sums)
    if (refused) continue
    const removes = call.change === 'code-remove' ? (adds.get(call.codeId ?? '') ?? 0) : 0
    if (revision === undefined) {
      sums.maybe += call.adds
      sums.less += removes
    } else {
      sums.sure += call.adds
      sums.lessSure += removes
    }
  }
  for (const [feature, { sure, maybe, lessSure, less }] of added) {
    const found = first.features.find(({ name }) => name === feature)?.allocations ?? 0
    const [low, high] = [sure - lessSure - less, sure + maybe - lessSure]
    if (found >= low && found <= high) continue
    const what = `${feature} has ${found} allocations in the end; acknowledged are ${low === high ? low : `${low} to ${high}`}`
    violations.push({ rule: 'lost', t: first.t, what })
  }
  return violations
}

/** I1 in every table that any server ever told; and of one index there is one ledger (I5). */
function checkSamples(lines: readonly Line[]): Violation[] {
  const violations: Violation[] = []
  const hashes = new Map<number, SampleLine>()
  for (const line of lines) {
    if (line.k !== 'sample') continue
    for (const { name, allocations, owed, free, owned } of line.features) {
      if (free + owned === allocations + owed && Math.min(free, owed, allocations) >= 0) continue
      const what = `${line.server}: ${name}: free ${free} + shares ${owned}, allocations ${allocations} + owed ${owed}`
      violations.push({ rule: 'I1', t: line.t, what })
    }
    const known = hashes.get(line.lastApplied)
    if (known === undefined) hashes.set(line.lastApplied, line)
    else if (known.hash !== line.hash) {
      const what = `${line.server} and ${known.server} differ at index ${line.lastApplied}`
      violations.push({ rule: 'I5', t: line.t, what })
    }
  }
  return violations
}
