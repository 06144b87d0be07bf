/**
 * `npm run bench`: licd beside what users would pick instead, on this machine, in one run.
 *
 * Compare ratios, which come from pairs measured seconds apart; absolute figures move from machine to machine and
 * from hour to hour.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Progress } from '../lib/progress.ts'
import { systemClock } from '../raft/index.ts'
import { measureEyes } from './eyes.ts'
import type { Figures, Group, SectionTable } from './figures.ts'
import { measureGrowth } from './growth.ts'
import { load, machine } from './machine.ts'
import { readOptions, type BenchOptions } from './options.ts'
import { measureOutage } from './outage-part.ts'
import { page } from './page/page.ts'
import { profile } from './profile.ts'
import { measureReplicated, measureSeats, type Run } from './sections.ts'
import { report } from './table.ts'

const others = { outage: measureOutage, growth: measureGrowth, eyes: measureEyes } as const

async function main(options: BenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'licd-bench-'))
  const progress = new Progress(process.stderr, systemClock)
  const note = (text: string) => {
    if (progress.isShown) progress.say(text)
    else process.stderr.write(`${text}\n`)
  }
  const run: Run = { options, folder, note, versions: {}, skipped: {} }
  const loadBefore = load()
  const about = machine()
  const groups: Group[] = []
  const sections: SectionTable[] = []
  try {
    for (const part of options.parts) {
      if (part === 'seats') groups.push(await measureSeats(run))
      else if (part === 'replicated') groups.push(await measureReplicated(run))
      else sections.push(...(await others[part](run)))
    }
  } finally {
    progress.clear()
    rmSync(folder, { recursive: true, force: true })
  }
  const { versions, skipped } = run
  const { pairs, seconds } = options
  const figures: Figures = {
    ...{ machine: about, versions, skipped, loadBefore, loadAfter: load(), pairs, seconds },
    ...{ groups, sections },
  }
  process.stdout.write(`${report(figures)}\n`)
  for (const file of [options.json, options.html]) mkdirSync(dirname(file), { recursive: true })
  writeFileSync(options.json, JSON.stringify(figures))
  writeFileSync(options.html, page(figures))
  process.stderr.write(`figures: ${options.json}, page: ${options.html}\n`)
}

const options = readOptions()
if (options.profile === undefined) await main(options)
else {
  const { rows, seconds, layouts, profile: folder } = options
  const layout = layouts.length === 1 ? layouts[0] : undefined
  await profile({
    ...{ rows, seconds, folder, note: text => process.stderr.write(`${text}\n`) },
    layout: layout ?? { processes: 1, inFlight: 256 },
  })
}
