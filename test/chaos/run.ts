/**
 * One chaos run: a pool of real processes, clients and operators; a storm of faults; then calm, and the questions.
 *
 * After the storm every resident client must be confirmed, every allocation grantable and all servers of one mind, each
 * within `calmMs`, which is far more than it takes: a run fails for what did not happen, never for being slow.
 */
import { cpSync } from 'node:fs'
import { SeededRandom } from '../sim/seeded-random.ts'
import { checkSeats, longestUnconfirmed, type SeatCheck, type Violation } from './checker.ts'
import { checkCommands, type CommandCheck } from './commands.ts'
import { faultsFor, type World } from './faults.ts'
import { now, readHistory, type Line, type SampleLine } from './history.ts'
import { ownBuild } from './host.ts'
import { Janitor } from './janitor.ts'
import { Nemesis } from './nemesis.ts'
import type { NetworkKind } from './network.ts'
import { ChaosPool, leaseMs } from './pool.ts'

export interface RunOptions {
  readonly seed: string
  readonly servers: number
  readonly clientProcesses: number
  readonly clientsEach: number
  /** The storm lasts as long, and until every kind was thrown `rounds` times. */
  readonly stormMs: number
  readonly rounds: number
  readonly network?: NetworkKind
  /** Only these; all when absent. */
  readonly kinds?: readonly string[]
  /** Features of the pool's own, and what they begin with; 50 of `cad` and 70 of `sim` when absent. */
  readonly local?: Readonly<Record<'cad' | 'sim', number>>
  /** Folder of the build whose `licd` runs; this one when absent. */
  readonly build?: string
  /** Folder that gets a copy of what all processes wrote. */
  readonly keep?: string
  readonly say: (text: string) => void
}

export interface Outcome {
  readonly seed: string
  readonly network: NetworkKind
  readonly notes: readonly string[]
  /** Kind -> how often; those that this machine cannot have a reason instead. */
  readonly faults: Readonly<Record<string, number>>
  readonly skipped: Readonly<Record<string, string>>
  readonly stormMs: number
  readonly clients: number
  readonly hosts: readonly string[]
  readonly sites: readonly string[]
  readonly seats: SeatCheck
  readonly commands: CommandCheck
  readonly violations: readonly Violation[]
  readonly longest: { readonly ms: number; readonly seat: string; readonly at: number }
  readonly calm: {
    /** Until the last resident was confirmed. */
    readonly confirmedMs: number | undefined
    readonly residents: number
    /** Until every allocation was taken, all at once. */
    readonly grantableMs: number
    readonly granted: number
    readonly allocations: number
  }
  readonly lines: readonly Line[]
  readonly startedAt: number
  readonly endedAt: number
}

/** How long anything may take once all faults are undone. */
export const calmMs = 90_000
const vendored = 'paid'
/** Clients by what they want; `cad` is wanted by more than can have it. */
const wanted = ['cad', 'cad', 'sim', 'paid', 'cad', 'sim', 'paid', 'cad', 'sim', 'cad']
const residentsShare = 0.2

export async function runChaos(options: RunOptions): Promise<Outcome> {
  const janitor = new Janitor()
  try {
    return await runIn(options, janitor)
  } finally {
    const complaint = await janitor.finish()
    if (complaint !== '') options.say(`left behind: ${complaint}`)
  }
}

async function runIn(options: RunOptions, janitor: Janitor): Promise<Outcome> {
  const { say, seed, clientProcesses, clientsEach } = options
  const crashed: Violation[] = []
  const startedAt = now()
  const residentsEach = Math.floor(clientsEach * residentsShare)
  const pool = await ChaosPool.start(
    {
      ...{ seed, clientProcesses, clientsEach, residentsEach, vendored, wanted },
      local: options.local ?? { cad: 50, sim: 70 },
      ...{ servers: options.servers, network: options.network, build: options.build ?? ownBuild },
      vendoredStart: 12,
      onClientsEnd: (name, output) =>
        crashed.push({ rule: 'crash', t: now(), what: `clients ${name}: ${output.slice(-400)}` }),
    },
    janitor,
  )
  say(`pool of ${options.servers} on ${pool.network.kind}, history in ${pool.historyFolder}`)
  for (const note of pool.notes) say(note)
  for (const clients of pool.clients) clients.start()
  await pool.command({ do: 'storm' }, 'storming', 10_000)
  const storm = await rage(pool, options)
  say(`storm over after ${Math.round(storm.ms / 1000)} s`)
  const calm = await settle(pool, clientProcesses * residentsEach, say)
  await pool.stop()
  if (options.keep !== undefined) cpSync(pool.historyFolder, options.keep, { recursive: true })
  const lines = readHistory(pool.historyFolder)
  return {
    ...{ seed, network: pool.network.kind, notes: pool.notes, lines, startedAt, endedAt: now() },
    ...{ faults: storm.faults, skipped: storm.skipped, stormMs: storm.ms },
    clients: clientProcesses * clientsEach,
    hosts: pool.hosts.map(({ name }) => name),
    sites: pool.sites,
    ...judge(lines, calm.finals, [...crashed, ...calm.violations]),
    calm: calm.figures,
  }
}

async function rage(pool: ChaosPool, options: RunOptions) {
  const { hosts, clients, network, means } = pool
  const world: World = {
    ...{ hosts, clients, network, leaseMs },
    random: new SeededRandom(options.seed),
    leader: () => pool.leader,
    now,
    sleep: ms => new Promise(resolve => void setTimeout(resolve, ms)),
  }
  const can = { freezeDisks: means.disk === 'ext4', setWalls: means.faketime !== undefined }
  const { kinds, stormMs } = options
  const all = faultsFor(can).filter(({ kind }) => kinds?.includes(kind) ?? true)
  const skipped: Record<string, string> = {}
  for (const fault of all) {
    const { kind } = fault
    const why = fault.problem?.(world)
    if (why === undefined) continue
    skipped[kind] = why
    options.say(`skipped: ${kind}: ${why}`)
  }
  const nemesis = new Nemesis(world, pool.history)
  const from = now()
  const faults = all.filter(({ kind }) => skipped[kind] === undefined)
  if (faults.length === 0) await world.sleep(stormMs)
  else await nemesis.run({ faults, rounds: options.rounds, minMs: stormMs })
  return { faults: Object.fromEntries(nemesis.counts), skipped, ms: now() - from }
}

/** What did not come about in time is a violation, and the run goes on to the next question. */
async function settle(pool: ChaosPool, residents: number, say: (text: string) => void) {
  const violations: Violation[] = []
  const fail = (what: string): void => void violations.push({ rule: 'lost', t: now(), what })
  const answered = async <T>(question: Promise<T>): Promise<T | undefined> => {
    try {
      return await question
    } catch (error) {
      fail(String(error))
      return undefined
    }
  }
  await answered(pool.command({ do: 'settle' }, 'settled', calmMs))
  const confirmed = await Promise.all(pool.clients.map(clients => clients.settle(calmMs)))
  const late = confirmed.filter(ms => ms === undefined).length
  if (late > 0) fail(`${late} processes have a client that was not confirmed in ${calmMs} ms`)
  const left = await Promise.all(pool.clients.map(clients => clients.leave(calmMs)))
  if (left.includes(false)) fail('clients did not end')
  say('all clients settled and left')
  const fill = { do: 'fill', withinMs: calmMs } as const
  const filled = await answered(pool.command(fill, 'filled', 3 * calmMs))
  const { got, of, ms: grantableMs } = filled ?? { got: 0, of: 0, ms: NaN }
  if (got < of) fail(`only ${got} of ${of} allocations were grantable`)
  const finish = { do: 'finish', withinMs: calmMs } as const
  const finished = await answered(pool.command(finish, 'finished', 3 * calmMs))
  const finals = finished?.finals ?? []
  if (finals.length < pool.hosts.length) fail(`only ${finals.length} servers told their table`)
  const figures = {
    confirmedMs: late > 0 ? undefined : Math.max(...confirmed.map(ms => ms ?? 0)),
    ...{ residents, grantableMs, granted: got, allocations: of },
  }
  return { finals, violations, figures }
}

/** All rules over all that was written down. */
export function judge(
  lines: readonly Line[],
  finals: readonly SampleLine[],
  others: readonly Violation[],
) {
  const seats = checkSeats(lines)
  const commands = checkCommands(lines, finals)
  const crashes = crashesOf(lines)
  const stops = lines.filter(line => line.k === 'fault' && line.kind === 'clients stopped')
  const longest = longestUnconfirmed(lines, (client, from, to) =>
    stops.some(
      stop =>
        stop.k === 'fault' &&
        client.startsWith(`${stop.target}-`) &&
        stop.from < to &&
        stop.to > from,
    ),
  )
  const violations = [...seats.violations, ...commands.violations, ...crashes, ...others]
  return { seats, commands, longest, violations: violations.sort((a, b) => a.t - b.t) }
}

/** A server may end by itself where its disk was full or frozen, or in the start after; nowhere else. */
function crashesOf(lines: readonly Line[]): Violation[] {
  const graceMs = 20_000
  const disks = lines.filter(line => line.k === 'fault' && line.kind.startsWith('disk'))
  return lines.flatMap(line => {
    if (line.k !== 'server' || line.what !== 'ended' || line.expected === true) return []
    const isExcused = disks.some(
      disk =>
        disk.k === 'fault' &&
        disk.target === line.server &&
        disk.from <= line.t &&
        line.t <= disk.to + graceMs,
    )
    if (isExcused) return []
    const what = `server ${line.server} ended by itself: ${line.detail ?? ''}`
    return [{ rule: 'crash', t: line.t, what } as const]
  })
}
