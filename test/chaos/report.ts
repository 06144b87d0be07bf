/** What a chaos run tells of itself, as text. */
import type { Outcome } from './run.ts'

export function reportOf(outcome: Outcome): string {
  const { seats, commands, calm, longest, violations, faults, skipped } = outcome
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
  const rows: [string, string | number][] = [
    ['seed', outcome.seed],
    ['network', outcome.network],
    ['storm', seconds(outcome.stormMs)],
    ['clients', outcome.clients],
    ['grants checked', seats.grants],
    ['renewals', seats.renewals],
    ['moves (fail-overs with the seat kept)', seats.moves],
    ['releases', seats.releases],
    ['seats lost (their client is told)', seats.lost],
    ['requests denied', seats.denials],
    ['longest without a confirmed renewal', `${seconds(longest.ms)} (clients that ran)`],
    ['changes by operators', commands.changes],
    ['  acknowledged', commands.acknowledged],
    ['  refused', commands.refused],
    ['  unanswered in the storm', commands.unanswered],
    ['  not known in the end', commands.stillUnknown],
    ['  sent again with the same id', commands.repeated],
    ['after the storm: last of the residents confirmed', confirmed(outcome)],
    [
      'after the storm: allocations granted, all at once',
      `${calm.granted} of ${calm.allocations} in ${seconds(calm.grantableMs)}`,
    ],
  ]
  for (const [feature, { most, leastRoom }] of Object.entries(seats.peaks)) {
    rows.push([
      `most seats of ${feature} at once`,
      `${most}, never less than ${leastRoom} below the limit`,
    ])
  }
  const wide = Math.max(...rows.map(([name]) => name.length))
  const kinds = Object.entries({ ...faults, ...skipped }).map(([kind, count]) =>
    typeof count === 'number'
      ? `  ${String(count).padStart(4)}  ${kind}`
      : `     -  ${kind}: skipped: ${count}`,
  )
  const found = violations.map(({ rule, t, what }) => {
    const at = seconds(t - outcome.startedAt)
    return `  ${rule} at ${at}: ${what}`
  })
  return [
    ...rows.map(([name, value]) => `${name.padEnd(wide)}  ${value}`),
    'faults:',
    ...kinds,
    `violations: ${violations.length}`,
    ...found,
  ].join('\n')
}

function confirmed({ calm }: Outcome): string {
  const { confirmedMs, residents } = calm
  if (confirmedMs === undefined) return 'NOT ALL'
  return `${residents} within ${(confirmedMs / 1000).toFixed(1)} s`
}
