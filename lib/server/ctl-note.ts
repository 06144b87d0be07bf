/** What operators have done that is no command of the ledger: it stands in the audit log before it is done. */
import type { CtlOptions } from './ctl-options.ts'
import { byMax, isCommandId, originOf, refuse, type Fields } from './ctl-request.ts'
import type { Answer } from './ctl-wire.ts'

/** Ticks that the record of an operation may take to be committed. */
const noteTicks = 5

export interface Note {
  /** Of the request: who asked, and by which key. */
  readonly fields: Fields
  readonly action: string
  readonly detail?: string
}

/** Calls `run` once the record is committed; what kept it from that is answered. */
export function noteFirst(
  options: Pick<CtlOptions, 'ledger' | 'leader' | 'submit' | 'freshId'>,
  { fields, action, detail = '' }: Note,
  done: (answer: Answer) => void,
  run: () => void,
): void {
  const { by, id, provenKey, since } = fields
  const { ledger, leader, submit, freshId } = options
  // Without a leader nothing can be recorded, nor done: the refusal is the operation's own.
  if (ledger().state.level < 2 || leader() === undefined) return run()
  const isNamed = typeof by === 'string' && by !== '' && by.length <= byMax
  // Signed, it has an id of its own, and a repeated message would be the same.
  const isProven = typeof provenKey === 'string' && isCommandId(id)
  // An id of its own is new.
  const origin = isProven
    ? { provenKey, ...(typeof since === 'number' ? { since } : {}) }
    : { fresh: true }
  const command = {
    id: isProven ? id : freshId(),
    by: isNamed ? by : 'not named',
    ...originOf(origin, ledger().state),
    deadlineTicks: noteTicks,
  }
  submit(command, { type: 'note', action, detail }, outcome => {
    if (outcome.type !== 'applied') return done(noMajority)
    const { result, duplicate } = outcome
    if (!result.ok) return done(refuse(result.code, result.detail ?? ''))
    if (duplicate) return done(refuse('LICD_UNKNOWN_OUTCOME', 'It was asked for before.'))
    return run()
  })
}

export const noMajority = refuse(
  'LICD_NO_LEADER',
  'Nothing was changed: that takes a majority of the voters. If it is lost for good, see `licd recover`.',
)
