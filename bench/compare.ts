/**
 * `npm run bench:compare -- REF1 [REF2]`: is one commit slower than another? Both are built in temporary folders, run
 * side by side and measured in turn; what is told is the ratio of the second to the first, round by round.
 *
 * Both are measured by the bench of this tree, so that a change of the bench is no change of the product. REF2 is the
 * tree as it is when absent. Exit code 1 when a median falls below what is tolerated.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { orUsage, readCommandLine, readNumber } from '../test/command-line.ts'
import { packageFolder } from '../lib/nats-server.ts'
import { layoutName, type Layout, type Row, type Running } from './contender.ts'
import { spread } from './figures.ts'
import type * as licdModule from './contenders/licd.ts'
import type * as fleetModule from './fleet.ts'
import { load } from './machine.ts'
import { readLayout } from './options.ts'
import { columns, short } from './table.ts'

const usage = `npm run bench:compare -- REF1 [REF2] [options]
  --pairs N       rounds (9)      --seconds S   of one measurement (1)
  --rows A,B      of licd (unawaited,renew)
  --layouts A,B   client processes x in flight (1x1,1x16,1x256)
  --tolerate R    the least a median ratio may be (0.9)
  REF2 is the tree as it is when absent`
/** What a commit is built from; the bench comes from this tree. */
const sources = ['cmd', 'lib', 'raft', 'test', 'package.json', 'tsconfig.json']
const warmSeconds = 0.6

interface Side {
  readonly ref: string
  readonly running: Running
  readonly rows: readonly Row[]
  open(row: Row, layout: Layout): Promise<fleetModule.Fleet>
}

const options = {
  pairs: { type: 'string' },
  seconds: { type: 'string' },
  rows: { type: 'string', default: 'unawaited,renew' },
  layouts: { type: 'string', default: '1x1,1x16,1x256' },
  tolerate: { type: 'string' },
} as const
const { values, positionals } = readCommandLine(usage, options, 2)
const pairs = readNumber(usage, values.pairs, 9)
const seconds = readNumber(usage, values.seconds, 1)
const tolerate = readNumber(usage, values.tolerate, 0.9)
const layouts = orUsage(usage, () => values.layouts.split(',').map(readLayout))
const [first, second = '.'] = positionals
if (first === undefined) {
  console.error(usage)
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'licd-compare-'))
const sides: Side[] = []
try {
  for (const ref of [first, second]) sides.push(await startSide(ref, sides.length))
  process.exitCode = await compare(sides)
} finally {
  await Promise.allSettled(sides.map(({ running }) => running.stop()))
  rmSync(folder, { recursive: true, force: true })
}

/** Builds a commit with the bench of this tree, and starts its servers. */
async function startSide(ref: string, number: number): Promise<Side> {
  process.stderr.write(`building ${ref}\n`)
  const root = packageFolder()
  const at = join(folder, String(number))
  mkdirSync(at)
  if (ref === '.') {
    for (const name of sources) cpSync(join(root, name), join(at, name), { recursive: true })
  } else {
    const archive = spawnSync('git', ['archive', ref, ...sources], {
      ...{ cwd: root, maxBuffer: 2 ** 30 },
    })
    if (archive.status !== 0) throw new Error(`git archive ${ref}: ${String(archive.stderr)}`)
    spawnSync('tar', ['-x', '-C', at], { input: archive.stdout })
  }
  cpSync(join(root, 'bench'), join(at, 'bench'), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(at, 'node_modules'))
  // Errors of types do not count: the bench of today may know more than the commit has.
  const compiler = join(root, 'node_modules', 'ts7', 'bin', 'tsc')
  const built = spawnSync(process.execPath, [compiler, '-p', '.'], { cwd: at, encoding: 'utf8' })
  const part = (name: string) => join(at, 'dist', 'bench', name)
  if (!existsSync(part('fleet.js'))) throw new Error(`${ref} was not built: ${built.stdout}`)
  const load = async (name: string): Promise<unknown> =>
    await import(pathToFileURL(part(name)).href)
  const { licd } = (await load('contenders/licd.js')) as typeof licdModule
  const fleets = (await load('fleet.js')) as typeof fleetModule
  const data = join(folder, `${number}-data`)
  mkdirSync(data)
  const running = await licd.start(data)
  const { address } = running
  return {
    ...{ ref, running, rows: licd.rows },
    open: (row, layout) =>
      fleets.Fleet.open({ row, layout, address, servers: () => running.processes() }),
  }
}

async function compare(both: readonly Side[]): Promise<number> {
  const [old] = both
  const wanted = values.rows.split(',')
  const rows = (old?.rows ?? []).filter(({ operation }) => wanted.includes(operation))
  const table: string[][] = []
  let isSlower = false
  const before = load()
  for (const layout of layouts) {
    for (const row of rows) {
      process.stderr.write(`${row.id} ${layoutName(layout)}\n`)
      const ratios = await measurePairs(both, row, { layout, seconds, pairs })
      const { median, min, max } = spread(ratios)
      const isBelow = median < tolerate
      isSlower ||= isBelow
      const verdict = isBelow ? 'SLOWER' : median > 1 / tolerate ? 'faster' : ''
      const range = `${short(min)}-${short(max)}`
      table.push([row.title, layoutName(layout), short(median), range, verdict])
    }
  }
  const title = `${both[1]?.ref ?? ''} : ${both[0]?.ref ?? ''}`
  console.log(columns([title, 'layout', 'ratio', 'rounds', ''], table))
  console.log(`load before ${before}, after ${load()}`)
  return isSlower ? 1 : 0
}

/** Ratios of the second to the first, one a round; who begins changes from round to round. */
async function measurePairs(
  both: readonly Side[],
  row: Row,
  { layout, seconds, pairs }: { layout: Layout; seconds: number; pairs: number },
): Promise<number[]> {
  const fleets = await Promise.all(both.map(side => side.open(row, layout)))
  const ratios: number[] = []
  try {
    for (const fleet of fleets) await fleet.measure(warmSeconds)
    for (let round = 0; round < pairs; round++) {
      const figures = [0, 0]
      for (const n of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const fleet = fleets[n]
        if (fleet === undefined) continue
        figures[n] = (await fleet.measure(seconds)).perSecond
        await fleet.settle()
      }
      const [one = 0, other = 0] = figures
      if (one > 0) ratios.push(other / one)
    }
  } finally {
    await Promise.all(fleets.map(fleet => fleet.close()))
  }
  return ratios
}
