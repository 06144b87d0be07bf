/** The process behind `janitor.ts`: gathers what must go, and does away with it when its input ends. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Order, Task } from './janitor.ts'
import { startOf } from './process.ts'

/** How long one thing may take. */
const patienceMs = 15_000
const tasks = new Map<string, Task>()

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

const lines = createInterface({ input: process.stdin })
lines.on('line', text => {
  const order = JSON.parse(text) as Order
  if ('drop' in order) tasks.delete(order.drop)
  else tasks.set(order.add, order.task)
})
lines.on('close', () => {
  const left = [...tasks.values()].reverse()
  // A disk that is frozen lets no process go, and a process that is stopped keeps its disk busy.
  for (const task of left) if (task.type === 'thaw') run('fsfreeze', ['-u', task.path])
  for (const task of left) if (task.type === 'process') kill(task)
  for (const task of left) {
    if (task.type === 'process' && !until(() => startOf(task.pid) !== task.startedAt)) {
      console.error(`process ${task.pid} does not end`)
    }
  }
  for (const task of left) if (task.type === 'unmount') unmount(task.path)
  for (const task of left) {
    if (task.type === 'remove') rmSync(task.path, { recursive: true, force: true, maxRetries: 3 })
  }
})

function kill({ pid, startedAt }: Extract<Task, { type: 'process' }>): void {
  // Its number may be another's by now.
  if (startOf(pid) !== startedAt) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It went by itself.
  }
}

function unmount(path: string): void {
  if (until(() => run('umount', [path]) === '')) return
  console.error(`${path} stays mounted: ${run('umount', ['-l', path])}`)
}

/** What the program complained of. */
function run(command: string, args: readonly string[]): string {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0 && error === undefined) return ''
  return error?.message ?? `${stderr.trim()} (exit ${String(status)})`
}

function until(holds: () => boolean): boolean {
  for (const end = performance.now() + patienceMs; performance.now() < end;) {
    if (holds()) return true
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
  }
  return false
}
