/** What `npm run bench` is told on its command line. */
import { parseArgs } from 'node:util'
import type { ContenderName, Layout } from './contender.ts'

export const usage = `npm run bench -- [options]
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

/** `undefined` where help is asked for. Throws for what it does not know. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
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
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const { quick } = values
  return {
    pairs: number('pairs', values.pairs, quick ? 3 : 9),
    seconds: number('seconds', values.seconds, quick ? 0.7 : 2),
    only: values.only === undefined ? undefined : values.only.split(',').map(contenderName),
    rows: values.rows?.split(','),
    layouts: values.layouts.split(',').map(readLayout),
    parts: values.growth ? ['growth'] : values.parts.split(',').map(partName),
    most: number('most', values.most, Infinity),
    profile: values.profile ? profileFolder : undefined,
    json: values.json,
    html: values.html,
  }
}

function number(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} ${text} is no number above 0`)
  return value
}

function contenderName(text: string): ContenderName {
  const wanted = text === 'ceiling' ? 'echo' : text
  const found = names.find(name => name === wanted)
  if (found === undefined) throw new Error(`no contender ${text}`)
  return found
}

function partName(text: string): Part {
  const found = parts.find(name => name === text)
  if (found === undefined) throw new Error(`no part ${text}`)
  return found
}

export function readLayout(text: string): Layout {
  const [, processes, inFlight] = /^(\d+)x(\d+)$/.exec(text) ?? []
  const found = { processes: Number(processes), inFlight: Number(inFlight) }
  if (!(found.processes * found.inFlight >= 1 && found.processes * found.inFlight <= 256)) {
    throw new Error(`${text} is no layout of 1 to 256 in flight`)
  }
  return found
}
