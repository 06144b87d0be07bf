/** The other servers of the pool as they answer: who is there, by which clock, of which version. */
import { connectNats, systemClock, systemRandom, type NatsOptions } from '../../raft/index.ts'
import { CtlClient } from '../ctl/ctl-client.ts'
import { LicdError } from '../error.ts'
import { levelMax } from '../ledger/command.ts'
import type { AccountStanding } from '../protocol/account.ts'
import type { Member, PoolStatus } from '../protocol/ctl.ts'
import { asLicdError } from '../server/fatal.ts'
import { failed, failure, ok, warning, type Finding } from './finding.ts'

/** Wall clocks order nothing; beyond this the dates in logs and of codes are no longer what people take them for. */
const offsetMaxMs = 2_000
const answerMs = 3_000
/** An end of the connection for clients is nothing where the nats-server read its configuration or was started again. */
const lostOften = 3

export interface Heard {
  readonly server: string
  readonly status: PoolStatus
  /** Which account its nats-server has; undefined where it does not say. */
  readonly account?: AccountStanding | undefined
  /** Its wall clock less this host's, milliseconds; undefined where it does not say. */
  readonly offsetMs: number | undefined
  /** By so much that may be wrong: half of the round trip. */
  readonly marginMs: number
}

export interface Asked {
  readonly members: readonly Member[]
  readonly heard: readonly Heard[]
}

/**
 * Asks every server of the pool, with a server's own rights.
 *
 * @throws LicdError LICD_NO_SERVER, LICD_TIMEOUT, LICD_NATS_UNREACHABLE, LICD_NATS_REFUSED
 */
export async function askPeers(
  options: NatsOptions,
  { pool, server }: { readonly pool: string; readonly server: string },
): Promise<Asked> {
  const bus = await connectNats({ ...options, name: 'licd doctor', waitMs: 0 }).catch(
    (cause: unknown) => {
      throw asLicdError(cause)
    },
  )
  const by = `doctor@${server}`
  const client = new CtlClient({ bus, clock: systemClock, random: systemRandom, pool, by })
  try {
    const { servers } = await client.ask('servers', {}, { timeoutMs: answerMs })
    const heard: Heard[] = []
    const ask = async ({ name }: Member): Promise<void> => {
      const [sent, sentAt] = [Date.now(), performance.now()]
      const answer = await client
        .ask('status', { limit: 0 }, { server: name, timeoutMs: answerMs })
        .catch(notSaid)
      if (answer === undefined) return
      const marginMs = (performance.now() - sentAt) / 2
      const { wall } = answer.status
      const offsetMs = wall === undefined ? undefined : wall - (sent + marginMs)
      const account = await client
        .ask('account', {}, { server: name, timeoutMs: answerMs })
        .catch(notSaid)
      heard.push({ server: name, status: answer.status, account, offsetMs, marginMs })
    }
    await Promise.all(servers.map(ask))
    return { members: servers, heard }
  } finally {
    client.close()
    await bus.close()
  }
}

function notSaid(cause: unknown): undefined {
  if (cause instanceof LicdError) return undefined
  throw cause
}

/** What their answers say; `asked` may be why nobody answered. */
export function lookAtPeers(
  asked: Asked | LicdError,
  own: { readonly server: string; readonly fingerprint: string; readonly version: string },
): Finding[] {
  if (asked instanceof LicdError) {
    const isFirst = asked.code === 'LICD_NO_SERVER'
    if (!isFirst) return [failed('peers', asked)]
    return [
      warning('peers', 'no server of this pool answers', 'Start them: licd serve --data FOLDER'),
    ]
  }
  const { members, heard } = asked
  return [
    peersFinding(asked, own),
    clocksFinding(heard.filter(({ server }) => server !== own.server)),
    versionsFinding(members, heard, own),
    ...clientsFindings(heard.find(({ server }) => server === own.server)),
  ]
}

function peersFinding(
  { members, heard }: Asked,
  own: { readonly server: string; readonly fingerprint: string },
): Finding {
  const foreign = heard.find(({ status }) => status.fingerprint !== own.fingerprint)
  if (foreign !== undefined) {
    const says = `${foreign.server} answers for another pool of this name`
    return failure(
      'peers',
      says,
      'Two pools of one name share this NATS: give one of them another.',
    )
  }
  const present = new Set(heard.map(({ server }) => server))
  const silent = members.filter(({ name }) => !present.has(name)).map(({ name }) => name)
  const voters = members.filter(({ role }) => role === 'voter')
  const votersHeard = voters.filter(({ name }) => present.has(name)).length
  const says = `${present.size} of ${members.length} servers answer${silent.length === 0 ? '' : `, not ${silent.join(', ')}`}`
  const toDo = `See why at their hosts: licd doctor --data FOLDER; to take one out: licd ctl servers remove NAME`
  if (votersHeard * 2 <= voters.length) return failure('peers', `${says}: no majority`, toDo)
  if (!members.some(({ name }) => name === own.server)) {
    return warning(
      'peers',
      `${says}; ${own.server} is none of them`,
      `licd ctl servers add ${own.server}`,
    )
  }
  if (silent.filter(name => name !== own.server).length > 0) return warning('peers', says, toDo)
  if (silent.length > 0) return warning('peers', says, 'licd serve --data FOLDER starts this one.')
  return ok('peers', says)
}

function clocksFinding(others: readonly Heard[]): Finding {
  const known = others.filter(({ offsetMs }) => offsetMs !== undefined)
  if (known.length === 0) return ok('clocks', 'no other server says its time')
  const text = ({ server, offsetMs = 0 }: Heard): string =>
    `${server} ${offsetMs < 0 ? '-' : '+'}${(Math.abs(offsetMs) / 1000).toFixed(2)} s`
  const says = `against this host: ${known.map(text).join(', ')}`
  const off = known.filter(
    ({ offsetMs = 0, marginMs }) => Math.abs(offsetMs) - marginMs > offsetMaxMs,
  )
  if (off.length === 0) return ok('clocks', says)
  // Most agree on the time; if all are off, it is this one that is wrong.
  const whose =
    off.length === known.length ? 'this host' : off.map(({ server }) => server).join(', ')
  return warning('clocks', says, `Set the clock of ${whose}: timedatectl set-ntp true`)
}

function versionsFinding(
  members: readonly Member[],
  heard: readonly Heard[],
  own: { readonly server: string; readonly version: string },
): Finding {
  const levels = heard.map(({ status }) => status.levelMax ?? 1)
  const level = Math.max(...heard.map(({ status }) => status.level ?? 1))
  const least = Math.min(...levels)
  const told = heard.map(
    ({ server, status }) => `${server} ${status.version ?? 'of before'} (${status.levelMax ?? 1})`,
  )
  const says = `${told.join(', ')}; the pool is at level ${level}, this program is ${own.version} (${levelMax})`
  if (level > levelMax) {
    const toDo = 'Install the version that the others run: this one cannot read what they agree on.'
    return failure('versions', says, toDo)
  }
  const names = new Set(heard.map(({ status }) => status.version ?? ''))
  const itself = heard.find(({ server }) => server === own.server)
  if (itself !== undefined && itself.status.version !== own.version) {
    return warning('versions', says, 'Restart this server: it still runs the version of before.')
  }
  if (names.size > 1) {
    return warning(
      'versions',
      says,
      'Upgrade those of before, one after the other (docs/upgrade.md).',
    )
  }
  if (heard.length === members.length && least > level) {
    return warning('versions', says, 'All know newer rules than the pool goes by: licd ctl upgrade')
  }
  return ok('versions', says)
}

/** How this server's connection for clients is: none where it does not run, or does not say. */
function clientsFindings(itself: Heard | undefined): Finding[] {
  const link = itself?.status.clientLink
  if (link === undefined) return []
  const { up, lost } = link
  const says = `the connection for clients is ${up ? 'up' : 'down'}, and ended ${lost} times in the last hour`
  if (up && lost <= lostOften) return [ok('clients', says)]
  const toDo =
    'A client that floods, or NATS went: look for nats-link in the log, and for who sends most (docs/runbooks.md, LicdClientsTooFast).'
  return [warning('clients', says, toDo)]
}

/** Whether this host's nats-server shuts out all that the others do; `own`: when its account was signed, seconds since 1970. */
export function lookAtAccount(
  asked: Asked | LicdError,
  own: { readonly server: string; readonly issuedAt: number; readonly revoked: number },
): Finding {
  const { issuedAt, revoked } = own
  const says = `signed ${dateOf(issuedAt)}, shuts out ${revoked}`
  const others = asked instanceof LicdError ? [] : asked.heard
  const known = others.flatMap(({ server, account }) =>
    server === own.server || account?.issuedAt === undefined
      ? []
      : [{ server, issuedAt: account.issuedAt }],
  )
  const newer = known.filter(other => other.issuedAt > issuedAt)
  const older = known.filter(other => other.issuedAt < issuedAt)
  const named = (list: typeof known): string =>
    list.map(other => `${other.server} (${dateOf(other.issuedAt)})`).join(', ')
  if (newer.length > 0) {
    const toDo =
      'This server takes it from the others within a minute while it runs; if it does not, see account-refused in its log.'
    return warning(
      'account',
      `${says}; newer at ${named(newer)}: who was revoked since gets in here`,
      toDo,
    )
  }
  if (older.length === 0) return ok('account', says)
  const toDo = 'They take it from the others within a minute, or: licd ctl account push FILE'
  return warning('account', `${says}; older at ${named(older)}`, toDo)
}

function dateOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
