/** Dark allocations as `licd ctl status` shows them: how many, whose, why, and when they are back. */
import type { FeatureStatus } from '../../lib/protocol/ctl.ts'
import type { Dark, DarkKind } from '../../lib/protocol/why.ts'
import type { Program } from '../program.ts'
import { formatDuration, formatTable, type Cell } from '../table.ts'

const reasons: Readonly<Record<DarkKind, string>> = {
  expired: 'their clients fell silent',
  moved: 'moved here, not renewed here yet',
  relearning: 'it crashed; seats of before may be held',
  silent: 'not heard; it may be granting till then',
  down: 'it is down; who runs short borrows them',
  held: 'the pool was restored or recovered',
  owed: 'they ended; paid as seats end',
}

/** Prints nothing where nothing is dark. */
export function printDark(program: Program, features: readonly FeatureStatus[]): void {
  const rows = features.flatMap(({ name, dark = [] }) => dark.map(row => darkRow(name, row)))
  if (rows.length === 0) return
  program.print('')
  program.print(
    formatTable(
      program,
      [
        { title: 'DARK' },
        { title: 'SERVER' },
        { title: 'COUNT', right: true },
        { title: 'BACK IN' },
        { title: 'WHY' },
      ],
      rows,
    ),
  )
}

function darkRow(feature: string, row: Dark): Cell[] {
  const { server, kind, count } = row
  // What a later version may call dark is shown by its name.
  const reason = Object.hasOwn(reasons, kind) ? reasons[kind] : ''
  return [feature, server ?? '', count, backIn(row), `${kind}: ${reason}`]
}

function backIn({ kind, firstInMs, lastInMs }: Dark): string {
  if (kind === 'owed') return 'never'
  if (firstInMs === undefined || lastInMs === undefined) return 'not known'
  if (lastInMs <= 0) return 'now'
  const last = formatDuration(lastInMs)
  const first = formatDuration(firstInMs)
  return first === last ? last : `${first} to ${last}`
}
