/** What a figure was measured on: without it a figure means nothing. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { packageFolder } from '../lib/nats-server.ts'
import type { NamedProcess } from './contender.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  readonly commit: string
  readonly at: string
}

export function machine(): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${distribution()} (${type()} ${release()})`,
    node: process.version,
    commit: commit(),
    at: new Date().toISOString(),
  }
}

function distribution(): string {
  try {
    return /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''
  } catch {
    return process.platform
  }
}

/** Of the working tree; with a `+` when it holds changes. */
export function commit(): string {
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd: packageFolder(), encoding: 'utf8' }).stdout?.trim() ?? ''
  const head = git('rev-parse', '--short', 'HEAD')
  return head === '' ? 'unknown' : head + (git('status', '--porcelain', '-uno') === '' ? '' : '+')
}

/** Load averages of 1, 5, 15 minutes: what else the machine did. */
export function load(): string {
  return loadavg()
    .map(value => value.toFixed(2))
    .join(' ')
}

/** Ticks of user and system time in /proc, per second (proc(5)); 100 on all Linux that Node runs on. */
const clockTicks = 100

export interface Used {
  readonly cpuSeconds: number
  readonly rssMiB: number
}

/** What a process has used so far; zeros where the system does not tell. */
export function used({ pid }: NamedProcess): Used {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / clockTicks,
      rssMiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024,
    }
  } catch {
    return { cpuSeconds: 0, rssMiB: 0 }
  }
}
