/** The nats-server beside a license server, its certificates, the way into NATS and what it is allowed there. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tryNats, type NatsOptions, type Trial } from '../../raft/index.ts'
import { natsFiles, natsFolder } from '../access/nats-config.ts'
import { permissionsOf } from '../access/roles.ts'
import { LicdError } from '../error.ts'
import { findNatsServer } from '../nats-server.ts'
import { subjects } from '../protocol/subject.ts'
import { readSecret } from '../secret-file.ts'
import { asLicdError } from '../server/fatal.ts'
import { chmodIn, failed, failure, ok, warning, type Finding } from './finding.ts'
import type { Port } from './host.ts'

const dayMs = 86_400_000
/** Of a certificate: so long before its end it is told. */
const certificateDaysLow = 30
const natsTestMs = 10_000
export const renew =
  'Make this server anew: licd join NAME=HOST --key pool.join, and take its folder nats/.'
/** What it certifies ends with it: a server that was made anew would be refused as the old one is. */
const renewAuthority =
  'First the authority in pool.join (docs/runbooks.md, "The authority of a pool ends"), then every server and context anew.'

type Environment = Readonly<Record<string, string | undefined>>

/** Where the configuration has the nats-server listen: for clients, for those who look, for routes. Throws LICD_BAD_CONFIG. */
export async function natsPorts(dataFolder: string): Promise<Port[]> {
  const path = join(dataFolder, natsFolder, natsFiles.config)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new LicdError('LICD_BAD_CONFIG', `${path} cannot be read.`, { cause })
  })
  const found = [...text.matchAll(/^\s*(listen|http):\s*"?(\[[^\]]+\]|[^\s":]+):(\d+)"?/gm)]
  return found.map(([, key, host = '', port], at) => ({
    host: host.replaceAll(/[[\]]/g, ''),
    port: Number(port),
    what: at === 0 ? 'NATS' : key === 'http' ? 'NATS monitoring' : 'NATS among servers',
  }))
}

/** There is a program, and it takes the configuration (`nats-server -t`). `folder`: of the configuration, if any. */
export async function lookAtNatsServer(
  folder: string | undefined,
  environment: Environment,
): Promise<Finding> {
  try {
    const program = findNatsServer(environment)
    if (program === undefined) throw new LicdError('LICD_NATS_MISSING')
    const run = (args: readonly string[]) =>
      promisify(execFile)(program, args, { cwd: folder, timeout: natsTestMs })
    const { stdout } = await run(['--version'])
    const says = `${program}, ${stdout.trim()}`
    if (folder === undefined) return ok('nats-server', says)
    try {
      await run(['-t', '-c', natsFiles.config])
      return ok('nats-server', `${says}; ${join(folder, natsFiles.config)} is good`)
    } catch (cause) {
      const lines = cause instanceof Error ? cause.message.trim().split('\n').slice(1) : []
      const why = lines.join(' ').slice(-200)
      const toDo = `Mend it, and try: cd ${folder} && nats-server -t -c ${natsFiles.config}`
      return failure('nats-server', `it refuses ${join(folder, natsFiles.config)}: ${why}`, toDo)
    }
  } catch (cause) {
    return failed('nats-server', asLicdError(cause))
  }
}

/** The authority's certificate and the server's own: dates, key, who issued it, and whom it is for. */
export async function lookAtCertificates(dataFolder: string, wall: number): Promise<Finding> {
  const at = (name: string): string => join(dataFolder, natsFolder, name)
  try {
    const read = async (name: string): Promise<X509Certificate> => {
      const bytes = await readFile(at(name)).catch((cause: unknown) => {
        throw new LicdError('LICD_BAD_KEY', `${at(name)} cannot be read.`, { cause })
      })
      try {
        return new X509Certificate(bytes)
      } catch (cause) {
        throw new LicdError('LICD_BAD_KEY', `${at(name)} is no certificate.`, { cause })
      }
    }
    const [authority, own] = [await read(natsFiles.authority), await read(natsFiles.certificate)]
    let [ends, renewal] = [Infinity, renew]
    for (const [name, certificate] of [
      [natsFiles.authority, authority],
      [natsFiles.certificate, own],
    ] as const) {
      const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
      if (wall < from) {
        const toDo = 'The clock of this host is behind: timedatectl set-ntp true'
        return failure('certificates', `${at(name)} begins on ${dateOf(from)}`, toDo)
      }
      const toDo = name === natsFiles.authority ? renewAuthority : renew
      if (wall >= to) return failure('certificates', `${at(name)} ended on ${dateOf(to)}`, toDo)
      if (to >= ends) continue
      ends = to
      renewal = toDo
    }
    const key = await readSecret(at(natsFiles.key))
    if (key === undefined || !own.checkPrivateKey(createPrivateKey(key))) {
      return failure(
        'certificates',
        `${at(natsFiles.key)} is not of ${natsFiles.certificate}`,
        renew,
      )
    }
    if (!own.checkIssued(authority) || !own.verify(authority.publicKey)) {
      const says = `${at(natsFiles.certificate)} was not issued by ${natsFiles.authority}`
      return failure('certificates', says, renew)
    }
    const config = await readFile(at(natsFiles.config), 'utf8').catch(() => '')
    const [, host] = /^\s*client_advertise:\s*"?\[?([^\s"\]]+?)\]?:\d+"?/m.exec(config) ?? []
    const isFor = host === undefined || (isIP(host) === 0 ? own.checkHost(host) : own.checkIP(host))
    if (isFor === undefined) {
      return failure('certificates', `${at(natsFiles.certificate)} is not for ${host ?? ''}`, renew)
    }
    const says = `good until ${dateOf(ends)}`
    if (ends - wall > certificateDaysLow * dayMs) return ok('certificates', says)
    return warning('certificates', says, renewal)
  } catch (cause) {
    const error = cause instanceof LicdError ? cause : undefined
    if (error !== undefined) return failed('certificates', error, chmodIn(error) ?? renew)
    return failure('certificates', 'they cannot be read', `ls -l ${at('')}`)
  }
}

function dateOf(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 10) : 'never'
}

/** Subjects of a server's role that nobody listens to, and one that it has no right to. */
export function attemptsOf(pool: string, server: string) {
  const { root } = subjects(pool)
  // No server has this name for long: it is asked for nothing, and nothing answers.
  const nobody = `doctor-${server}`.slice(0, 32)
  const { publish, subscribe } = permissionsOf(pool, 'server', server)
  const concrete = (subject: string): string =>
    subject
      .replace(/\*\.\*$/, `doctor.${nobody}`)
      .replace(/>$/, subject.endsWith('raft.>') ? `${nobody}.doctor` : `doctor.${nobody}`)
  return {
    // `ctl.servers` is a question that is asked of the peers in earnest.
    publish: publish.filter(subject => !subject.endsWith('ctl.servers')).map(concrete),
    subscribe,
    forbidden: `${root}.seat.${nobody}.doctor`,
  }
}

export interface Doors {
  readonly findings: readonly Finding[]
  /** It got in. */
  readonly isIn: boolean
}

/** Gets in with the server's own credentials, and tries what its role needs. `ownUrl`: licd serve starts that one. */
export async function lookAtNats(
  options: NatsOptions,
  of: { readonly pool: string; readonly server: string; readonly startsOwn: boolean },
): Promise<Doors> {
  const { pool, server, startsOwn } = of
  const { forbidden, publish, subscribe } = attemptsOf(pool, server)
  let trial: Trial
  try {
    trial = await tryNats(options, { publish: [...publish, forbidden], subscribe })
  } catch (cause) {
    const error = asLicdError(cause)
    const isAway = error.code === 'LICD_NATS_UNREACHABLE'
    const finding =
      isAway && startsOwn
        ? warning(
            'nats',
            `none answers at ${listOf(options)}`,
            'licd serve starts this host\u2019s.',
          )
        : failed('nats', error)
    return { findings: [finding], isIn: false }
  }
  const { serverName, version, roundTripMs, refused } = trial
  const says = `${serverName}, nats-server ${version}, answers in ${roundTripMs.toFixed(0)} ms`
  return { findings: [ok('nats', says), permissionFinding(refused, forbidden, of)], isIn: true }
}

function permissionFinding(
  refused: Trial['refused'],
  forbidden: string,
  { pool, server }: { readonly pool: string; readonly server: string },
): Finding {
  const needed = [
    ...refused.publish.filter(subject => subject !== forbidden).map(name => `publish ${name}`),
    ...refused.subscribe.filter(subject => subject !== '$SRV.>').map(name => `subscribe ${name}`),
  ]
  if (needed.length > 0) {
    const toDo = `Allow the role server of pool ${pool} its subjects (README, "Roles"), with the inbox _INBOX.server.${server}.>`
    return failure('permissions', `NATS refuses: ${needed.join(', ')}`, toDo)
  }
  if (!refused.publish.includes(forbidden)) {
    const toDo =
      'For a lab. Else give NATS users and permissions (README, "Roles"), or make the pool with hosts (licd init).'
    return warning('permissions', 'all is allowed, and so more than a server needs', toDo)
  }
  const micro = refused.subscribe.length > 0 ? ' (but $SRV.>: nats micro ls will not show it)' : ''
  return ok('permissions', `what the role server needs is allowed, the rest refused${micro}`)
}

function listOf({ servers }: NatsOptions): string {
  return typeof servers === 'string' ? servers : servers.join(', ')
}

/** A nats-server says its name before anything else; it is this license server's where it has its name. */
export function natsNameOf(greeting: string): string | undefined {
  return /^INFO \{.*"server_name":"([^"]*)"/.exec(greeting)?.[1]
}
