/**
 * What a leader's bad disk costs its pool, `npm run bench:disk -- [runs [trouble...]]`: a pool of three server
 * processes, of which one has its folder on a filesystem of its own; leadership is handed to that one, and then
 *
 * - `full`: the filesystem is filled to the last byte at once (ENOSPC in the next write);
 * - `low`: it is filled until 8 MiB are left;
 * - `hangs`: it is frozen (fsfreeze): writes neither end nor fail.
 *
 * An operator adds one allocation after the other all the time. Asked are: when another leader is in office, the
 * longest gap between two changes that were taken, what the server said and how it ended, whether each change that
 * was acknowledged is there in the end, and whether the server comes back on its disk once that is well again.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import { connectNats, defaultSettings, systemClock, systemRandom } from '../raft/index.ts'
import { licd, startLicd, type Ended, type Running } from '../test/cmd/licd-process.ts'
import { readCommandLine, readNames, readNumber } from '../test/command-line.ts'
import { startNatsServer, type TestNatsServer } from '../test/nats-server.ts'
import { Mount, problemOf } from './disk-mount.ts'

const kinds = ['full', 'low', 'hangs'] as const
type Trouble = (typeof kinds)[number]
const usage = `npm run bench:disk -- [RUNS] [KIND...]
  RUNS   of each kind (5)
  KIND   full: no room is left; low: little is left; hangs: it answers no more (all)`
const { positionals } = readCommandLine(usage, {}, 1 + kinds.length)
const runs = readNumber(usage, positionals[0], 5)
const troubles = readNames(usage, positionals.slice(1), kinds)

const servers = ['alpha', 'beta', 'gamma']
/** The one with a filesystem of its own. */
const victim = 'alpha'
/**
 * With less than 16 MiB a leader hands over, but once a minute at most: in so small a filesystem that was said
 * before the test begins, and the full disk meets a leader.
 */
const megabytes = { full: 12, low: 48, hangs: 48 } as const
const lowMegabytes = 8

class Pool {
  readonly folder: string
  readonly nats: TestNatsServer
  readonly mount: Mount
  readonly #running = new Map<string, Running>()

  private constructor(folder: string, nats: TestNatsServer, mount: Mount) {
    this.folder = folder
    this.nats = nats
    this.mount = mount
  }

  static async start(trouble: Trouble): Promise<Pool> {
    const folder = mkdtempSync(join(tmpdir(), 'licd-bench-'))
    const kind = trouble === 'hangs' ? 'ext4' : 'tmpfs'
    const pool = new Pool(
      folder,
      await startNatsServer(),
      Mount.make(kind, join(folder, 'disk'), megabytes[trouble]),
    )
    await done(licd(['init', 'default', '--servers', servers.join(','), '--out', folder]))
    // From one filesystem to another.
    cpSync(join(folder, victim), join(pool.mount.path, victim), { recursive: true })
    rmSync(join(folder, victim), { recursive: true })
    await Promise.all(servers.map(server => pool.serve(server)))
    await pool.ctl(['feature', 'add', 'busy', '1', '--local'])
    return pool
  }

  async serve(server: string): Promise<void> {
    const folder = server === victim ? this.mount.path : this.folder
    const running = startLicd(['serve', '--data', join(folder, server), '--nats', this.nats.url])
    this.#running.set(server, running)
    await running.until(/^ready /m)
  }

  async ctl(args: readonly string[]): Promise<Record<string, unknown>> {
    const { stdout } = await done(licd(['ctl', ...args, '--json', '--nats', this.nats.url]))
    const answer: unknown = stdout.trim() === '' ? {} : JSON.parse(stdout)
    return typeof answer === 'object' && answer !== null ? { ...answer } : {}
  }

  /** Hands leadership to the victim. */
  async lead(): Promise<void> {
    while ((await this.ctl(['status'])).leader !== victim) {
      await licd(['ctl', 'transfer-leader', victim, '--json', '--nats', this.nats.url])
    }
  }

  running(server: string): Running {
    const running = this.#running.get(server)
    if (running === undefined) throw new Error(`${server} does not run`)
    return running
  }

  /** When a server other than the victim came into office after `since`, by what it logged. */
  async newLeaderAt(since: number): Promise<number> {
    const others = servers.filter(server => server !== victim)
    for (;;) {
      for (const server of others) {
        for (const line of linesOf(this.running(server).output())) {
          const at = Date.parse(String(line.time))
          if (line.msg === 'raft-status' && line.role === 'leader' && at >= since) return at
        }
      }
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  async end(): Promise<void> {
    this.mount.thaw()
    for (const { child } of this.#running.values()) child.kill('SIGKILL')
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
    await this.nats.stop()
    this.mount.remove()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

async function done(running: Promise<Ended>): Promise<Ended> {
  const ended = await running
  if (ended.code !== 0) throw new Error(`exit ${String(ended.code)}: ${ended.stderr}`)
  return ended
}

/** The lines of a log that are JSON. */
function linesOf(output: string): Record<string, unknown>[] {
  return output.split('\n').flatMap(line => {
    if (!line.startsWith('{')) return []
    try {
      const value: unknown = JSON.parse(line)
      return typeof value === 'object' && value !== null ? [{ ...value }] : []
    } catch {
      return []
    }
  })
}

/** One change after the other. */
class Changer {
  taken = 0
  unknown = 0
  longestGapMs = 0
  #isRunning = true
  readonly #ended: Promise<void>

  constructor(ctl: CtlClient) {
    this.#ended = this.#run(ctl)
  }

  async #run(ctl: CtlClient): Promise<void> {
    let last = performance.now()
    while (this.#isRunning) {
      try {
        await ctl.change('allocations-add', { feature: 'busy', count: 1 })
        this.taken++
      } catch {
        this.unknown++
        continue
      }
      const now = performance.now()
      this.longestGapMs = Math.max(this.longestGapMs, now - last)
      last = now
    }
  }

  async until(count: number): Promise<void> {
    const end = this.taken + count
    while (this.taken < end) await new Promise(resolve => setTimeout(resolve, 5))
  }

  stop(): Promise<void> {
    this.#isRunning = false
    return this.#ended
  }
}

/** Milliseconds since the trouble began. */
interface Outcome {
  /** The victim says so. With a full disk that is the first write that finds no room. */
  readonly noticedMs: number
  readonly leaderMs: number
  readonly gapMs: number
  readonly exit: number | string
  readonly said: string
  readonly taken: number
  readonly lost: number
  readonly back: string
}

async function measure(trouble: Trouble): Promise<Outcome> {
  const pool = await Pool.start(trouble)
  const bus = await connectNats({ servers: [pool.nats.url], name: 'bench operator' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 30_000 })
  try {
    await pool.lead()
    const changer = new Changer(ctl)
    await changer.until(20)
    changer.longestGapMs = 0
    const at = Date.now()
    if (trouble === 'full') pool.mount.fill()
    else if (trouble === 'low') pool.mount.fill(lowMegabytes)
    else pool.mount.freeze()
    const hurtAt = trouble === 'hangs' ? at : Date.now()
    const before = pool.running(victim)
    const ended = trouble === 'full' ? await before.ended : undefined
    const leaderMs = (await pool.newLeaderAt(at)) - hurtAt
    await changer.until(20)
    pool.mount.thaw()
    pool.mount.empty()
    if (ended !== undefined) await pool.serve(victim)
    await changer.until(20)
    await changer.stop()
    const { said, noticedAt, back } = await lookAt(pool, before.output(), trouble)
    const found = await allocationsAt(pool)
    const lost = 1 + changer.taken - found
    if (found > 1 + changer.taken + changer.unknown) throw new Error('more than was asked for')
    const exit = ended === undefined ? 'runs on' : (ended.code ?? String(ended.signal))
    const { taken, longestGapMs: gapMs } = changer
    const noticedMs = noticedAt - hurtAt
    return { noticedMs, leaderMs, gapMs, exit, said, taken, lost: Math.max(0, lost), back }
  } finally {
    ctl.close()
    await bus.close()
    await pool.end()
  }
}

const events = { full: 'raft-fatal', low: 'raft-disk-low', hangs: 'raft-disk-stalled' } as const

/** What the victim said of its trouble, and how it is now. */
async function lookAt(
  pool: Pool,
  output: string,
  trouble: Trouble,
): Promise<{ said: string; noticedAt: number; back: string }> {
  const line = linesOf(output).find(({ msg }) => msg === events[trouble])
  const last = output.split('\n').find(one => one.startsWith('licd: '))
  const said = last ?? (line === undefined ? '-' : JSON.stringify(line))
  const answer = await pool.ctl(['status', '--server', victim])
  const isDamaged = linesOf(pool.running(victim).output()).some(({ msg }) => msg === 'raft-damaged')
  const back = answer.answeredBy === victim ? 'yes' : 'no'
  const noticedAt = Date.parse(String(line?.time))
  return { said, noticedAt, back: isDamaged ? `${back}, relearned` : back }
}

async function allocationsAt(pool: Pool): Promise<number> {
  const { features } = await pool.ctl(['status'])
  const list: readonly unknown[] = Array.isArray(features) ? features : []
  const fields = { ...Object(list[0]) } as Record<string, unknown>
  return Number(fields.allocations)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? NaN)
}

const trial = mkdtempSync(join(tmpdir(), 'licd-bench-'))
process.stdout.write(
  `election timeout ${defaultSettings.electionTimeoutMs} ms, ${runs} runs each\n`,
)
for (const trouble of troubles) {
  const problem = problemOf(trouble === 'hangs' ? 'ext4' : 'tmpfs', trial)
  if (problem !== undefined) {
    process.stdout.write(`${trouble}: skipped, this machine cannot do it: ${problem}\n`)
    continue
  }
  const outcomes: Outcome[] = []
  for (let run = 1; run <= runs; run++) {
    const outcome = await measure(trouble)
    if (run === 1) process.stdout.write(`${trouble}: ${outcome.said}\n`)
    outcomes.push(outcome)
  }
  console.table(
    outcomes.map(({ noticedMs, leaderMs, gapMs, exit, taken, lost, back }) => ({
      'noticed ms': Math.round(noticedMs),
      'new leader ms': Math.round(leaderMs),
      'longest gap ms': Math.round(gapMs),
      exit,
      'changes taken': taken,
      'of them lost': lost,
      'back on its disk': back,
    })),
  )
  const noticed = median(outcomes.map(({ noticedMs }) => noticedMs))
  const leader = median(outcomes.map(({ leaderMs }) => leaderMs))
  const after = median(outcomes.map(({ leaderMs, noticedMs }) => leaderMs - noticedMs))
  const gap = median(outcomes.map(({ gapMs }) => gapMs))
  process.stdout.write(
    `${trouble}: medians: noticed after ${noticed} ms, new leader after ${leader} ms ` +
      `(${after} ms later), longest gap ${gap} ms\n`,
  )
}
rmSync(trial, { recursive: true, force: true })
