/**
 * `npm run bench`: licd beside what users would pick instead, on this machine, in one run.
 *
 * Compare ratios, which come from pairs measured seconds apart; absolute figures move from machine to machine and
 * from hour to hour.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Contender, Running } from './contender.ts'
import { echo } from './contenders/echo.ts'
import { etcd } from './contenders/etcd.ts'
import { kv } from './contenders/kv.ts'
import { licd } from './contenders/licd.ts'
import { postgres } from './contenders/postgres.ts'
import { redis } from './contenders/redis.ts'
import type { Figures } from './figures.ts'
import { load, machine } from './machine.ts'
import { readOptions, type BenchOptions } from './options.ts'
import { measureRounds } from './rounds.ts'
import { report } from './table.ts'

const contenders: readonly Contender[] = [echo, licd, etcd, kv, redis, postgres]

async function main(options: BenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'licd-bench-'))
  const running = new Map<string, Running>()
  const skipped: Record<string, string> = {}
  const versions: Record<string, string> = {}
  const note = (text: string) => process.stderr.write(`${text}\n`)
  const loadBefore = load()
  const about = machine()
  try {
    for (const contender of contenders) {
      const { name } = contender
      if (options.only !== undefined && !options.only.includes(name)) continue
      const look = contender.look()
      if (!look.here) {
        skipped[name] = look.why
        note(`${name} is left out: ${look.why}`)
        continue
      }
      versions[name] = look.version
      note(`starting ${name}`)
      const data = join(folder, name)
      mkdirSync(data, { recursive: true })
      running.set(name, await contender.start(data))
    }
    const rows = contenders
      .filter(({ name }) => running.has(name))
      .flatMap(contender => contender.rows)
      .filter(({ id }) => options.rows?.some(wanted => id.startsWith(wanted)) ?? true)
    const { pairs, seconds, layouts } = options
    const cells = await measureRounds({ rows, layouts, running, pairs, seconds, note })
    const figures: Figures = {
      ...{ machine: about, versions, skipped, loadBefore, loadAfter: load(), pairs, seconds },
      titles: Object.fromEntries(rows.map(({ id, title }) => [id, title])),
      layouts: layouts.map(({ processes, inFlight }) => `${processes}x${inFlight}`),
      cells,
      sections: [],
    }
    process.stdout.write(`${report(figures)}\n`)
    mkdirSync(dirname(options.json), { recursive: true })
    writeFileSync(options.json, JSON.stringify(figures))
    note(`figures: ${options.json}`)
  } finally {
    await Promise.allSettled([...running.values()].map(one => one.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
}

await main(readOptions(process.argv.slice(2)))
