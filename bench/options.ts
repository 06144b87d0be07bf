/** What `npm run bench` is told on its command line. */
import { orUsage, readCommandLine, readNames, readNumber } from '../test/command-line.ts'
import type { ContenderName, Layout } from './contender.ts'

const usage = `npm run bench -- [options]
  --quick            three short rounds: a look, no verdict
  --pairs N          rounds, each of which measures everyone once (9)
  --seconds S        of one measurement (2)
  --only A,B         contenders: licd,echo,etcd,kv,redis,postgres; ceiling is a part of echo (all that are here)
  --rows A,B         rows by id or part of it: licd.unawaited,echo (all)
  --layouts A,B      client processes x in flight: 1x1,1x16,1x256,4x16,16x16 (those)
  --parts A,B        seats,replicated,outage (those); growth, which takes long; eyes:
                     what figures and history cost
  --growth           growth alone: cost by seats held, features, servers; restart by entries
  --most N           the largest step of growth: seats, entries 10^6, features 10^4, servers 32, or N of each
  --profile          flame graphs instead, of the servers and a client: --rows, one of --layouts (1x256), --seconds
  --json FILE        where the figures go (.build/bench/bench.json)
  --html FILE        where the page goes (.build/bench/bench.html)`

const parts = ['seats', 'replicated', 'outage', 'growth', 'eyes'] as const
export type Part = (typeof parts)[number]

export interface BenchOptions {
  readonly pairs: number
  readonly seconds: number
  readonly only: readonly ContenderName[] | undefined
  readonly rows: readonly string[] | undefined
  readonly layouts: readonly Layout[]
  readonly parts: readonly Part[]
  /** No step of growth is larger. */
  readonly most: number
  /** Profiles instead of figures, in this folder. */
  readonly profile: string | undefined
  readonly json: string
  readonly html: string
}

const names = ['licd', 'echo', 'etcd', 'kv', 'redis', 'postgres'] as const
const profileFolder = '.build/bench/profile'
const allLayouts = '1x1,1x16,1x256,4x16,16x16'

export function readOptions(): BenchOptions {
  const { values } = readCommandLine(usage, {
    quick: { type: 'boolean', default: false },
    pairs: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    rows: { type: 'string' },
    layouts: { type: 'string', default: allLayouts },
    parts: { type: 'string', default: 'seats,replicated,outage' },
    growth: { type: 'boolean', default: false },
    most: { type: 'string' },
    profile: { type: 'boolean', default: false },
    json: { type: 'string', default: '.build/bench/bench.json' },
    html: { type: 'string', default: '.build/bench/bench.html' },
  })
  const { quick, only } = values
  return {
    pairs: readNumber(usage, values.pairs, quick ? 3 : 9),
    seconds: readNumber(usage, values.seconds, quick ? 0.7 : 2),
    only: only === undefined ? undefined : readNames(usage, only.split(',').map(partOf), names),
    rows: values.rows?.split(','),
    layouts: orUsage(usage, () => values.layouts.split(',').map(readLayout)),
    parts: values.growth ? ['growth'] : readNames(usage, values.parts.split(','), parts),
    most: readNumber(usage, values.most, Infinity),
    profile: values.profile ? profileFolder : undefined,
    json: values.json,
    html: values.html,
  }
}

/** The ceiling is measured by the same contender. */
function partOf(text: string): string {
  return text === 'ceiling' ? 'echo' : text
}

/** Throws for what is none. */
export function readLayout(text: string): Layout {
  const [, processes, inFlight] = /^(\d+)x(\d+)$/.exec(text) ?? []
  const found = { processes: Number(processes), inFlight: Number(inFlight) }
  if (!(found.processes * found.inFlight >= 1 && found.processes * found.inFlight <= 256)) {
    throw new Error(`${text} is no layout of 1 to 256 in flight`)
  }
  return found
}
