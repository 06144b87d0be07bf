/** What of the host a server needs: its data folder, its disk, its clocks, its Node.js, its ports. */
import { lstat, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectLevelStorage, ownerOf } from '../../raft/index.ts'
import { LicdError } from '../error.ts'
import { isErrno } from '../folder.ts'
import { readServerFile, type ServerFile } from '../pool-files.ts'
import { readPoolKey } from '../pool-key.ts'
import { refuseLoose } from '../secret-file.ts'
import { asLicdError } from '../server/fatal.ts'
import { chmodIn, failed, failure, ok, warning, type Finding } from './finding.ts'
import type { DoctorSystem } from './system.ts'

/** Of a start: less, and LevelDB cannot even rearrange its files. */
export const freeBytesMin = 64 * 1024 * 1024
export const freeBytesLow = 1024 * 1024 * 1024
/** A change is answered after one sync at a majority: beyond this, people notice. */
export const syncSlowMs = 25
/** Raft's heartbeat waits for no disk, but a leader that cannot write for so long is better no leader. */
export const syncBadMs = 500
const syncs = 32
const bringKey =
  'Bring pool.key from another server of the pool, or from a backup (scp -p; docs/SECURITY.md, "The key pair of the pool").'
/** As package.json has it (`engines`). */
const nodeMin = [20, 19] as const

/** Who the folder belongs to; undefined where that cannot be read. */
export async function lookAtFolder(
  folder: string,
  expected: { readonly pool?: string | undefined; readonly server?: string | undefined },
): Promise<{ readonly file: ServerFile | undefined; readonly finding: Finding }> {
  try {
    const file = await readServerFile(folder)
    const { pool = file.pool, server = file.server } = expected
    if (pool !== file.pool || server !== file.server) {
      const is = `${folder} is ${file.server} of pool ${file.pool}`
      const toDo = `Give the folder of ${server} of pool ${pool}, or no --pool and --server.`
      return { file, finding: failure('data folder', `LICD_WRONG_POOL: ${is}`, toDo) }
    }
    const pid = await ownerOf(join(folder, 'raft'))
    const runs = pid === undefined ? 'no server runs on it' : `process ${pid} runs on it`
    const says = `${folder}: ${file.server} of pool ${file.pool}; ${runs}`
    return { file, finding: ok('data folder', says) }
  } catch (cause) {
    return { file: undefined, finding: failed('data folder', asLicdError(cause)) }
  }
}

/** Secrets that others may read are refused at start; so is a key that is another pool's. */
export async function lookAtKeys(folder: string, file: ServerFile | undefined): Promise<Finding> {
  const secrets = ['pool.key', 'nats/server.key', 'nats/server.context', 'seats.book']
  try {
    let count = 0
    for (const path of secrets.map(name => join(folder, name))) {
      const found = await stat(path).catch((cause: unknown) => {
        if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return undefined
        throw new LicdError('LICD_BAD_KEY', `${path} cannot be read.`, { cause })
      })
      if (found === undefined) continue
      refuseLoose(path, found)
      count++
    }
    const key = await readPoolKey(join(folder, 'pool.key'))
    if (file !== undefined && key.clusterId !== file.clusterId) {
      throw new LicdError('LICD_WRONG_POOL', `${folder}/pool.key is another pool's key.`)
    }
    const stray = (await readdir(folder)).find(name => name === 'pool.join')
    if (stray !== undefined) {
      const says = `${folder}/pool.join is on a server: whoever breaks in here has the pool`
      return warning(
        'key files',
        says,
        `Move it to where operators keep it: mv ${folder}/pool.join`,
      )
    }
    return ok('key files', `${count} files, for this user\u2019s eyes alone`)
  } catch (cause) {
    const error = asLicdError(cause)
    const isOther = error.code === 'LICD_WRONG_POOL'
    return failed('key files', error, chmodIn(error) ?? (isOther ? undefined : bringKey))
  }
}

export async function lookAtDisk(folder: string, system: DoctorSystem): Promise<Finding[]> {
  let free: number
  let times: number[]
  try {
    free = await system.freeBytes(folder)
    times = await system.syncTimes(folder, syncs)
  } catch (cause) {
    return [await unwritable(folder, cause)]
  }
  const text = `${folder} can be written, ${Math.floor(free / 1024 ** 2).toLocaleString('en')} MiB are free`
  const toDo = freeSome(folder)
  const space =
    free < freeBytesMin
      ? failure('disk', text, toDo)
      : free < freeBytesLow
        ? warning('disk', text, toDo)
        : ok('disk', text)
  return [space, syncFinding(times)]
}

function freeSome(folder: string): string {
  return `Free some, or move the folder: df -h ${folder}`
}

async function unwritable(folder: string, cause: unknown): Promise<Finding> {
  const why = cause instanceof Error ? cause.message : String(cause)
  const says = `${folder} cannot be written: ${why}`
  const is = (...codes: string[]): boolean => codes.some(code => isErrno(cause, code))
  if (is('ENOSPC', 'EDQUOT')) return failure('disk', says, freeSome(folder))
  if (is('EROFS')) {
    const toDo = `See why (dmesg | tail), then: mount -o remount,rw "$(stat -c %m ${folder})"`
    return failure('disk', says, toDo)
  }
  const { uid } = await lstat(folder).catch(() => ({ uid: undefined }))
  const own = String(process.getuid?.() ?? '?')
  const owner = uid === undefined ? '' : ` (it belongs to user ${uid}, this is ${own})`
  const toDo = `chown -R USER ${folder}, where USER is whom the server runs as`
  return failure('disk', `${says}${owner}`, toDo)
}

function syncFinding(times: readonly number[]): Finding {
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  const worst = sorted.at(-1) ?? 0
  const says = `4 KiB are on the disk after ${median.toFixed(1)} ms (median), ${worst.toFixed(1)} ms at worst of ${times.length}`
  if (median <= syncSlowMs && worst <= syncBadMs) return ok('disk sync', says)
  const toDo =
    'Changes and borrowing wait for it: give it another disk, or less company (iostat -x 1).'
  return warning('disk sync', says, toDo)
}

/** Only where no server runs on it; a folder that was made by `licd join` has no log yet. */
export async function lookAtLog(folder: string): Promise<Finding> {
  const raft = join(folder, 'raft')
  const pid = await ownerOf(raft)
  if (pid !== undefined) return ok('log', `not looked into: process ${pid} has it open`)
  let scratch: string | undefined
  try {
    if ((await readdir(raft).catch(() => [])).length === 0) {
      return ok('log', 'none yet: this server joins the pool, and is taught')
    }
    scratch = await mkdtemp(join(folder, 'doctor-'))
    const wrong = await inspectLevelStorage(raft, scratch)
    if (wrong === undefined) return ok('log', 'whole, as read from a copy')
    const toDo =
      'licd serve sets it aside and the others teach the server: safe where a majority of them is well; see docs/runbooks.md, LICD_DATA_DAMAGED.'
    return failure('log', `LICD_DATA_DAMAGED: ${wrong}`, toDo)
  } catch (cause) {
    return failed('log', asLicdError(cause))
  } finally {
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true })
  }
}

export function lookAtNode({ nodeVersion }: DoctorSystem): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
  const [least, leastMinor] = nodeMin
  const says = `Node.js ${nodeVersion}`
  if (major > least || (major === least && minor >= leastMinor)) return ok('node', says)
  const toDo = `Install Node.js ${least}.${leastMinor} or later (https://nodejs.org), and start the server anew.`
  return failure('node', `${says} is too old`, toDo)
}

/** Whether a suspension of the host can be told from the clocks (R4). */
export function lookAtClock({ clock }: DoctorSystem): Finding {
  const year = new Date(clock.wall()).getUTCFullYear()
  if (!(year >= 2024 && year < 2100)) {
    return failure('clock', `this host is in the year ${year}`, 'Set it: timedatectl set-ntp true')
  }
  if (clock.uptime() !== undefined) {
    return ok('clock', 'monotonic, with an uptime that counts on while the host is suspended')
  }
  const toDo = 'Keep this host from being suspended, or run the server on Linux.'
  return warning('clock', 'the system does not tell how long it was suspended', toDo)
}

export interface Port {
  readonly host: string
  readonly port: number
  readonly what: string
  /** Another one will do where it is taken. */
  readonly isDefault?: boolean
}

/** Each port is free, or this server's own: `isOwn` knows what its own says when it is asked. */
export async function lookAtPorts(
  ports: readonly Port[],
  system: DoctorSystem,
  isOwn: (port: Port) => Promise<boolean>,
): Promise<Finding> {
  const said: string[] = []
  for (const port of ports) {
    const { host, port: number, what, isDefault } = port
    const at = `${what} ${host}:${number}`
    const problem = await system.bindProblem(host, number)
    if (problem === undefined) said.push(`${at} is free`)
    else if (problem !== 'EADDRINUSE') {
      const why = problem === 'EADDRNOTAVAIL' ? 'no address of this host' : problem
      const toDo =
        problem === 'EACCES'
          ? 'Ports below 1024 are root\u2019s: choose one above.'
          : 'Say an address that this host has (ip address), or all of them.'
      return failure('ports', `${at}: ${why}`, toDo)
    } else if (await isOwn(port)) said.push(`${at} is this server\u2019s own`)
    else if (isDefault === true) said.push(`${at} is taken: another one will be chosen`)
    else {
      const end =
        what === 'NATS'
          ? 'End that (Debian\u2019s: systemctl disable --now nats-server)'
          : 'End that'
      const toDo = `See who has it: ss -ltnp 'sport = :${number}'. ${end}, or choose another port.`
      return failure('ports', `${at} is taken by another program`, toDo)
    }
  }
  return ok('ports', said.length === 0 ? 'none is needed' : said.join('; '))
}
