/**
 * `licd doctor`: looks at a server's host and says, line by line, what is well, what is not and what to type.
 *
 * It changes nothing: what it writes (a file to time the disk, a copy of the log) it removes, what it sends asks for
 * nothing, and a log that a server has open it leaves alone. Every check is made whatever the others found, so far as
 * there is anything to check.
 */
import { join } from 'node:path'
import type { NatsOptions } from '../../raft/index.ts'
import { accountIn } from '../account-file.ts'
import { natsFiles, natsFolder } from '../access/nats-config.ts'
import { LicdError } from '../error.ts'
import type { HttpAddress } from '../http/address.ts'
import type { ServerFile } from '../pool-files.ts'
import { asLicdError } from '../server/fatal.ts'
import {
  lookAtCertificates,
  lookAtNats,
  lookAtNatsServer,
  natsNameOf,
  natsPorts,
  renew,
} from './doors.ts'
import { chmodIn, failed, type Finding } from './finding.ts'
import {
  lookAtClock,
  lookAtDisk,
  lookAtFolder,
  lookAtKeys,
  lookAtLog,
  lookAtNode,
  lookAtPorts,
  type Port,
} from './host.ts'
import { askPeers, lookAtAccount, lookAtPeers } from './peers.ts'
import type { DoctorSystem } from './system.ts'

export interface DoctorOptions {
  readonly folder: string
  readonly pool?: string | undefined
  readonly server?: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `configured`: by licd init; `loopback`: `--run-nats` without one; `none`: it runs elsewhere. */
  readonly ownNats: 'configured' | 'loopback' | 'none'
  /** The way in, read when it is needed: its files may be what is wrong. */
  readonly nats: () => Promise<NatsOptions>
  readonly http: { readonly address: HttpAddress; readonly isDefault: boolean } | undefined
  readonly version: string
  readonly system: DoctorSystem
}

const natsLoopback: Port = { host: '127.0.0.1', port: 4222, what: 'NATS' }

/** Makes all checks, and tells each as it is made. Throws nothing that a check can find. */
export async function examine(
  options: DoctorOptions,
  tell: (finding: Finding) => void,
): Promise<void> {
  const { folder, system, ownNats } = options
  const { file, finding } = await lookAtFolder(folder, options)
  tell(finding)
  if (file !== undefined) {
    tell(await lookAtKeys(folder, file))
    for (const found of await lookAtDisk(folder, system)) tell(found)
    tell(await lookAtLog(folder))
  }
  tell(lookAtNode(system))
  tell(lookAtClock(system))
  if (file === undefined) return
  try {
    tell(await lookAtAllPorts(options, file))
  } catch (cause) {
    tell(failed('ports', asLicdError(cause)))
  }
  if (ownNats !== 'none') {
    const configured = ownNats === 'configured' ? join(folder, natsFolder) : undefined
    tell(await lookAtNatsServer(configured, options.environment))
  }
  if (ownNats === 'configured') {
    tell(await lookAtCertificates(folder, system.clock.wall()))
  }
  await lookOutside(options, file, tell)
}

async function lookAtAllPorts(options: DoctorOptions, { server }: ServerFile): Promise<Finding> {
  const { folder, ownNats, http, system } = options
  const ofNats =
    ownNats === 'configured'
      ? await natsPorts(folder)
      : ownNats === 'loopback'
        ? [natsLoopback]
        : []
  const page: Port[] =
    http === undefined ? [] : [{ ...http.address, what: 'HTTP', isDefault: http.isDefault }]
  return await lookAtPorts([...ofNats, ...page], system, async port => {
    if (port.what === 'HTTP') return (await nameOfPage(connectHost(port), port.port)) === server
    // Other nats-servers are not greeted: who listens for clients has the other port too, or it would not run.
    const [first = port] = ofNats
    const name = natsNameOf(await system.greeting(connectHost(first), first.port))
    return ownNats === 'loopback' ? name !== undefined : name === server
  })
}

/** Where this host reaches what listens there. */
function connectHost({ host }: Port): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}

/** Whose page is there. */
async function nameOfPage(host: string, port: number): Promise<string | undefined> {
  try {
    const name = host.includes(':') ? `[${host}]` : host
    const answer = await fetch(`http://${name}:${port}/api/pool?limit=1`, {
      signal: AbortSignal.timeout(5_000),
    })
    const body: unknown = await answer.json()
    if (typeof body !== 'object' || body === null || !('server' in body)) return undefined
    return typeof body.server === 'string' ? body.server : undefined
  } catch {
    return undefined
  }
}

/** NATS and, through it, the other servers. */
async function lookOutside(
  options: DoctorOptions,
  file: ServerFile,
  tell: (finding: Finding) => void,
): Promise<void> {
  const { ownNats, version } = options
  let nats: NatsOptions
  try {
    nats = await options.nats()
  } catch (cause) {
    const error = asLicdError(cause)
    const isOwn = ownNats === 'configured' && error.code !== 'LICD_INTERNAL'
    tell(failed('nats', error, chmodIn(error) ?? (isOwn ? renew : undefined)))
    return
  }
  const { findings, isIn } = await lookAtNats(nats, { ...file, startsOwn: ownNats !== 'none' })
  for (const finding of findings) tell(finding)
  if (!isIn) return
  const asked = await askPeers(nats, file).catch((cause: unknown) => {
    if (cause instanceof LicdError) return cause
    throw cause
  })
  for (const finding of lookAtPeers(asked, { ...file, version })) tell(finding)
  if (ownNats !== 'configured') return
  const account = await accountIn(join(options.folder, natsFolder, natsFiles.config))
  if (account === undefined) return
  const { iat: issuedAt, revocations } = account.claims
  const revoked = Object.keys(revocations).length
  tell(lookAtAccount(asked, { server: file.server, issuedAt, revoked }))
}
