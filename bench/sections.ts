/** What a run of the bench measures, part by part. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { layoutName, type Contender, type Layout, type Row, type Running } from './contender.ts'
import { echo } from './contenders/echo.ts'
import { etcd, etcdPut } from './contenders/etcd.ts'
import { floor } from './contenders/floor.ts'
import { kv } from './contenders/kv.ts'
import { ledgerFor } from './contenders/ledger.ts'
import { licd } from './contenders/licd.ts'
import { postgres } from './contenders/postgres.ts'
import { redis } from './contenders/redis.ts'
import type { Group } from './figures.ts'
import type { BenchOptions } from './options.ts'
import { unmeasuredSeconds } from './fleet.ts'
import { measureRounds, warmFor, warmSeconds } from './rounds.ts'

/** What all parts of a run share. */
export interface Run {
  readonly options: BenchOptions
  /** Data goes below it. */
  readonly folder: string
  readonly note: (text: string) => void
  readonly versions: Record<string, string>
  readonly skipped: Record<string, string>
}

/** Those that are wanted and can run here; of the others the run says why not. */
export function presentOf(run: Run, contenders: readonly Contender[]): Contender[] {
  const { options, versions, skipped, note } = run
  return contenders.filter(contender => {
    const { name } = contender
    const wanted = name === 'ledger' || name === 'floor' ? 'licd' : name
    if (options.only !== undefined && !options.only.includes(wanted)) return false
    const found = contender.look()
    if (found.here) {
      if (wanted === name) versions[name] = found.version
    } else if (skipped[name] === undefined) {
      skipped[name] = found.why
      note(`${name} is left out: ${found.why}`)
    }
    return found.here
  })
}

let folders = 0

/** Starts a contender with a fresh folder. */
export async function startContender(run: Run, contender: Contender): Promise<Running> {
  run.note(`starting ${contender.name}`)
  const data = join(run.folder, `${contender.name}-${++folders}`)
  mkdirSync(data, { recursive: true })
  return await contender.start(data)
}

interface GroupPlan {
  readonly id: Group['id']
  readonly title: string
  readonly contenders: readonly Contender[]
  readonly rows: readonly Row[]
  readonly layouts: readonly Layout[]
  readonly seconds: number
  readonly warm?: (layout: Layout) => number
}

async function measureGroup(run: Run, plan: GroupPlan): Promise<Group> {
  const { options, note } = run
  const { id, title, layouts, seconds, warm = warmFor } = plan
  const running = new Map<string, Running>()
  try {
    for (const contender of presentOf(run, plan.contenders)) {
      running.set(contender.name, await startContender(run, contender))
    }
    const rows = plan.rows.filter(
      row =>
        running.has(row.contender) &&
        (options.rows?.some(wanted => row.id.startsWith(wanted)) ?? true),
    )
    const { pairs } = options
    const skip = (what: string, why: string): void => {
      run.skipped[what] = why
      note(`${what} is left out: ${why}`)
    }
    return {
      ...{ id, title, seconds },
      titles: Object.fromEntries(rows.map(row => [row.id, row.title])),
      layouts: layouts.map(layoutName),
      cells: await measureRounds({ rows, layouts, running, pairs, seconds, warm, note, skip }),
    }
  } finally {
    await Promise.allSettled([...running.values()].map(one => one.stop()))
  }
}

/** Seats: what clients ask for all day. */
export async function measureSeats(run: Run): Promise<Group> {
  const contenders = [echo, licd, etcd, kv, redis, postgres]
  return await measureGroup(run, {
    ...{ id: 'seats', title: 'Taking and returning a seat', contenders },
    rows: contenders.flatMap(({ rows }) => rows),
    layouts: run.options.layouts,
    seconds: run.options.seconds,
  })
}

/** Each borrow uses an allocation up, and features are bounded: short rounds are enough. */
const replicatedSeconds = 0.5

/**
 * A server's code is compiled after some 4,500 changes, which cost twice the CPU until then (docs/performance.md). So long
 * it takes to make them with 1 and 16 under way, everybody's rows alike.
 */
function warmReplicated({ inFlight }: Pick<Layout, 'inFlight'>): number {
  if (inFlight === 1) return 12
  return inFlight <= 16 ? 3 : warmSeconds
}

/** What goes through the log. */
export async function measureReplicated(run: Run): Promise<Group> {
  const [request] = echo.rows
  const layouts = run.options.layouts.filter(({ processes }) => processes === 1)
  const seconds = Math.min(run.options.seconds, replicatedSeconds)
  const ledger = ledgerFor(
    layouts.map(layout => ({
      inFlight: layout.inFlight,
      seconds: run.options.pairs * (seconds + unmeasuredSeconds) + warmReplicated(layout),
    })),
  )
  return await measureGroup(run, {
    ...{ id: 'replicated', title: 'Replicated commands' },
    contenders: [echo, ledger, etcd, floor],
    rows: [...(request === undefined ? [] : [request]), ...ledger.rows, etcdPut, ...floor.rows],
    ...{ layouts, seconds, warm: warmReplicated },
  })
}
