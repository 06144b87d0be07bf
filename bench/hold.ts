/**
 * What it costs to hold many seats: 1,000 clients with a NATS connection each, in 4 processes, hold 10,000 seats
 * for a minute. `npm run bench:hold -- [seconds]`; prints errors, and CPU and memory of every process.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readCommandLine, readNumber } from '../test/command-line.ts'
import { ProcessPool } from '../test/pool-processes.ts'
import type { HoldOrder, HoldReport } from './hold-clients.ts'

const usage = 'npm run bench:hold -- [SECONDS]\n  SECONDS   that the seats are held for (60)'
const seconds = readNumber(usage, readCommandLine(usage, {}, 1).positionals[0], 60)
const processes = 4
const clientsEach = 250
const seatsEach = 10
const total = processes * clientsEach * seatsEach
const clockTicks = 100

await using pool = await ProcessPool.start({ tickMs: 1_000, leaseTicks: 30, seatTicks: 20 })
await pool.ctl(['feature', 'add', 'bench', String(total + 2_000), '--local'])

const children = Array.from({ length: processes }, () =>
  fork(new URL('./hold-clients.js', import.meta.url), { stdio: 'inherit' }),
)
const began = performance.now()
await Promise.all(children.map(child => say(child)))
console.log(`${total} seats acquired in ${((performance.now() - began) / 1000).toFixed(1)} s`)

const named = [
  ...pool.servers.map(server => ({ name: `server ${server}`, pid: pool.pid(server) })),
  { name: 'nats-server', pid: pool.nats.pid },
]
const before = named.map(({ pid }) => cpuSeconds(pid))
await new Promise(resolve => setTimeout(resolve, seconds * 1_000))
for (const [n, { name, pid }] of named.entries()) {
  const cpu = ((cpuSeconds(pid) - (before[n] ?? 0)) / seconds) * 100
  console.log(`${name}: ${cpu.toFixed(1)} % of a core, ${rssMiB(pid).toFixed(0)} MiB`)
}
const reports = await Promise.all(children.map(child => stop(child)))
for (const [n, { cpuSeconds: cpu, rssMiB: rss }] of reports.entries()) {
  console.log(`clients ${n + 1}: ${cpu.toFixed(1)} s CPU in all, ${rss.toFixed(0)} MiB`)
}
const sum = (pick: (report: HoldReport) => number) => reports.reduce((all, r) => all + pick(r), 0)
console.log(
  `held ${sum(r => r.seats)} of ${total} seats for ${seconds} s: ${sum(r => r.renewals)} renewals, ` +
    `${sum(r => r.lost)} lost, ${sum(r => r.invalidLooks)} looks at an invalid seat, ` +
    `${sum(r => Object.values(r.errors).reduce((a, b) => a + b, 0))} errors ${JSON.stringify(reports.map(r => r.errors))}`,
)

async function say(child: ChildProcess): Promise<void> {
  const order: HoldOrder = {
    nats: pool.nats.url,
    feature: 'bench',
    clients: clientsEach,
    seatsEach,
  }
  const ready = once(child, 'message')
  child.send(order)
  await ready
}

async function stop(child: ChildProcess): Promise<HoldReport> {
  const report = once(child, 'message')
  child.send('stop')
  const [message] = (await report) as [HoldReport]
  return message
}

/** User and system time of a process so far (proc(5)). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / clockTicks
}

function rssMiB(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024
}
