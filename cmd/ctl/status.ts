/** `licd ctl status`: the pool at a glance. */
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { shownState, viewPool, type PoolView } from '../../lib/ctl/pool-view.ts'
import { LicdError } from '../../lib/error.ts'
import type { FeatureStatus, ServerStatus } from '../../lib/protocol/ctl.ts'
import { defineCommand } from '../command.ts'
import { endWarning } from './code-end.ts'
import { printDark } from './dark.ts'
import type { Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import {
  formatDate,
  formatDuration,
  formatPercent,
  formatTable,
  printText,
  type Cell,
} from '../table.ts'

export const statusCommand = defineCommand({
  command: 'status [feature]',
  describe: 'Show who leads, who is up, and per feature who owns and uses how many',
  positionals: { feature: { type: 'string', describe: 'Show this feature only' } },
  options: sessionOptions,
  examples: [
    ['ctl status', 'the pool at a glance'],
    ['ctl status cad --json', 'one feature, for programs'],
    ['ctl status --server beta', 'the pool as server beta knows it'],
  ],
  epilogue:
    'Figures in use are each server\u2019s own; ~ marks one as of its last keepalive, from a server that ' +
    'did not answer now. DARK allocations exist and may not be granted now: licd ctl why FEATURE says more.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const view = await viewFeature(client, args.feature)
      if (args.json) {
        const { status, ...rest } = view
        program.printJson({ ...status, ...rest })
      } else {
        printStatus(program, view)
      }
      return 0
    }),
})

/** The pool with this feature alone, where one is named. Throws as `viewPool`, and LICD_UNKNOWN_FEATURE. */
export async function viewFeature(
  client: CtlClient,
  feature: string | undefined,
): Promise<PoolView> {
  if (feature === undefined) return await viewPool(client)
  const view = await viewPool(client, { of: { feature } })
  // Servers of before tell of all.
  const features = view.status.features.filter(({ name }) => name === feature)
  if (features.length === 0) throw new LicdError('LICD_UNKNOWN_FEATURE', `Feature ${feature}.`)
  return { ...view, status: { ...view.status, features } }
}

/** The pool as text: no line is longer than the terminal. */
export function printStatus(program: Program, view: PoolView): void {
  const { status, answeredBy } = view
  printText(
    program,
    `pool ${status.pool}, leader ${status.leader ?? 'none'}, revision ${status.revision}, tick ${status.tick}, says ${answeredBy}`,
    ...(status.leader === undefined ? (['red'] as const) : []),
  )
  printText(program, `fingerprint ${status.fingerprint}`)
  const { tickMs } = status.settings
  // A server that hears no ticks tells what was: whoever reads it must know how long ago.
  if (isCutOff(view)) for (const line of cutOffText(view)) printText(program, line, 'red')
  if (status.heldTicks !== undefined) printText(program, heldText(status.heldTicks, tickMs))
  program.print('')
  printServers(program, view)
  for (const problem of problemsOf(view)) printText(program, problem, 'red')
  program.print('')
  if (status.features.length === 0) {
    printText(
      program,
      'no features yet: licd ctl feature add NAME COUNT --local, or licd ctl code add FILE',
    )
    return
  }
  printFeatures(program, view)
}

/** What the server that answers knows is old: it hears no ticks. */
function isCutOff({ status }: PoolView): boolean {
  return status.tickAgeMs > 3 * status.settings.tickMs
}

function cutOffText({ status, answeredBy }: PoolView): string[] {
  const { tickAgeMs, leaseLeftMs } = status
  const heard = `${answeredBy} has not heard from a leader for ${formatDuration(tickAgeMs)}; what it knows is from then.`
  const grants =
    leaseLeftMs > 0
      ? `It grants from its own share for another ${formatDuration(leaseLeftMs)}, and then no more.`
      : 'Its lease is over: it grants and renews nothing until a leader lists it again.'
  return [heard, grants]
}

/** What an operator must look into: servers whose word does not count, and ledgers that differ. */
function problemsOf({ healthOf }: PoolView): string[] {
  return Object.entries(healthOf)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([server, { trust, damage, differing }]) => [
      ...(trust === 'full'
        ? []
        : [
            `${server} is quarantined until it was taught again: ${damage ?? 'its disk was empty'}`,
          ]),
      ...(differing.length === 0
        ? []
        : [`the ledger of ${server} differs from that of ${differing.join(', ')}: report it`]),
    ])
}

/** Why nothing is granted yet. */
export function heldText(heldTicks: number, tickMs: number): string {
  return `restored or recovered: serves in ${formatDuration(heldTicks * tickMs)}, when every seat from before is surely over`
}

/** One line a server: its state, and until when it may grant. */
export function printServers(program: Program, view: PoolView): void {
  const { status, lease } = view
  const { tickMs } = status.settings
  const text = formatTable(
    program,
    [
      { title: 'SERVER' },
      { title: 'STATE' },
      { title: 'ROLE' },
      { title: 'RUN', right: true },
      { title: 'MAY GRANT FOR' },
      { title: 'LAST HEARD' },
    ],
    status.servers.map(server => [
      server.name,
      // As of the last tick it was up, or it was not: who hears no leader cannot say more of others.
      isCutOff(view) && lease[server.name] === undefined ? '?' : shownState(server, status.tick),
      server.leader ? 'leader' : '',
      server.incarnation === 0 ? '-' : server.incarnation,
      isCutOff(view) && lease[server.name] === undefined
        ? 'not known'
        : mayGrant(server, lease[server.name]?.leaseLeftMs, tickMs),
      server.incarnation === 0 || shownState(server, status.tick) === 'starting'
        ? 'never'
        : heardAgo(server.listedTicksAgo, tickMs, isCutOff(view) ? status.tickAgeMs : 0),
    ]),
  )
  const [head = '', ...rows] = text.split('\n')
  program.print(head)
  for (const [index, row] of rows.entries()) {
    const state = status.servers[index]?.state
    program.print(state === 'up' ? row : program.paint(state === 'silent' ? 'yellow' : 'red', row))
  }
}

/** Ticks are how finely the pool knows it; `tickAgeMs`: how long ago the last one was, where none come. */
export function heardAgo(ticks: number, tickMs: number, tickAgeMs = 0): string {
  if (ticks <= 0 && tickAgeMs === 0) return 'this tick'
  return `${formatDuration(ticks * tickMs + tickAgeMs)} ago`
}

/** A server's own word where it answered; else the longest that its lease can last. */
export function mayGrant(
  server: Pick<ServerStatus, 'state' | 'downInTicks'>,
  leaseLeftMs: number | undefined,
  tickMs: number,
): string {
  if (leaseLeftMs !== undefined) return leaseLeftMs > 0 ? formatDuration(leaseLeftMs) : 'not now'
  if (server.state === 'down') return 'not now'
  return `at most ${formatDuration(server.downInTicks * tickMs)}`
}

function printFeatures(program: Program, { status, live }: PoolView): void {
  const rows = status.features.flatMap(feature => featureRows(feature, new Set(live)))
  program.print(
    formatTable(
      program,
      [
        { title: 'FEATURE' },
        { title: 'TOTAL', right: true },
        { title: 'FREE', right: true },
        { title: 'SHARE', right: true },
        { title: 'IN USE', right: true },
        { title: 'USED', right: true },
        { title: 'THRESHOLD', right: true },
        { title: 'TARGET', right: true },
        { title: 'WAITING', right: true },
      ],
      rows,
    ),
  )
  for (const feature of status.features) {
    const remarks = remarksOn(feature)
    if (remarks.length > 0) printText(program, `${feature.name}: ${remarks.join('; ')}`)
    const warning = endWarning(feature.endsAt, status.calendar)
    if (warning === undefined) continue
    const text = `${feature.name}: a code ${warning.text} and leaves fewer: licd ctl code list`
    printText(program, text, warning.colour)
  }
  printDark(program, status.features)
}

function featureRows(feature: FeatureStatus, live: ReadonlySet<string>): Cell[][] {
  const sum = (pick: (share: FeatureStatus['shares'][number]) => number) =>
    feature.shares.reduce((total, share) => total + pick(share), 0)
  const inUse = sum(share => share.inUse)
  const share = sum(row => row.share)
  const isLive = feature.shares.every(row => row.inUse === 0 || live.has(row.server))
  const total: Cell[] = [
    feature.name,
    feature.allocations,
    feature.free,
    share,
    isLive ? inUse : `~${inUse}`,
    use(inUse, feature.allocations),
    '',
    feature.even ? 'even' : sum(row => row.target),
    sum(row => row.demand) || '',
  ]
  const rows = feature.shares.map((row): Cell[] => [
    `  ${row.server}`,
    '',
    '',
    row.share,
    live.has(row.server) ? row.inUse : `~${row.inUse}`,
    use(row.inUse, row.share),
    formatPercent(row.threshold),
    row.target,
    row.demand || '',
  ])
  return [total, ...rows]
}

function use(inUse: number, of: number): string {
  return of === 0 ? '' : formatPercent(inUse / of)
}

function remarksOn({ vendor, owed, endsAt, limits, serves }: FeatureStatus): string[] {
  const { seatMs, leaseMs } = limits ?? {}
  return [
    ...(vendor === undefined ? [] : [`by ${vendor}`]),
    ...(owed === 0 ? [] : [`${owed} owed, paid as seats end: a code of them ended or was removed`]),
    ...(endsAt === undefined ? [] : [`a code ends on ${formatDate(endsAt)}`]),
    ...(serves === undefined ? [] : [`serves ${serves.join(', ')} too`]),
    ...(seatMs === undefined ? [] : [`seats of ${formatDuration(seatMs)} at most, by its code`]),
    ...(leaseMs === undefined
      ? []
      : [
          `granted for ${formatDuration(leaseMs)} at most by a server that hears nobody, by its code`,
        ]),
  ]
}
