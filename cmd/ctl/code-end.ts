/** When a code ends, for people: from 30 days ahead they are warned, from 7 days and from the last day more loudly. */
import { warnDays } from '../../lib/ledger/code-index.ts'
import { formatDuration } from '../table.ts'

const dayMs = 86_400_000

export interface EndWarning {
  readonly text: string
  readonly colour: 'yellow' | 'red'
}

/** `undefined` while it is further away than that, or never. `calendar`: the pool's. Milliseconds since 1970. */
export function endWarning(
  endsAt: number | undefined,
  calendar: number | undefined,
): EndWarning | undefined {
  if (endsAt === undefined || calendar === undefined) return undefined
  const leftMs = endsAt - calendar
  const days = warnDays.find(limit => leftMs <= limit * dayMs)
  if (days === undefined) return undefined
  const text = leftMs <= 0 ? 'ends now' : `ends in ${formatDuration(leftMs)}`
  return { text, colour: days <= 7 ? 'red' : 'yellow' }
}
