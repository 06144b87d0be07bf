/** Sends a hunter into a build and hears what it found, within a time. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Hunt, Orders } from './hunter.ts'

export interface Bag {
  readonly hunts: readonly Hunt[]
  /** What went wrong with the hunter itself: it does not count as a finding. */
  readonly trouble?: string
  readonly ms: number
}

/** At most so much of what a hunter says is kept. */
const maxOutput = 1024 * 1024

/** Runs the hunter of the build in `folder`; kills it after `limitMs`. */
export function hunt(folder: string, orders: Orders, limitMs: number): Promise<Bag> {
  const begun = performance.now()
  return new Promise(resolve => {
    const program = join(folder, 'test/mutants/hunter.js')
    const child = spawn(process.execPath, [program, JSON.stringify(orders)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
    })
    let output = ''
    let errors = ''
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, limitMs)
    child.stdout.on(
      'data',
      (data: Buffer) => (output = `${output}${data.toString()}`.slice(0, maxOutput)),
    )
    child.stderr.on(
      'data',
      (data: Buffer) => (errors = `${errors}${data.toString()}`.slice(0, maxOutput)),
    )
    child.on('close', code => {
      clearTimeout(timer)
      const lines = output.split('\n').slice(0, -1)
      const hunts = lines.map(line => JSON.parse(line) as Hunt)
      const broken = hunts.find(one => one.broken === true)
      const trouble = isLate
        ? `not done within ${limitMs} ms`
        : broken !== undefined
          ? `threw what is no finding: ${broken.by ?? ''}`
          : code === 0
            ? undefined
            : `ended with ${String(code)}: ${errors.slice(0, 500)}`
      resolve({
        hunts,
        ms: performance.now() - begun,
        ...(trouble === undefined ? {} : { trouble }),
      })
    })
  })
}

/** Without what a test runner hooks into the processes it starts. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, ...rest } = process.env
  return rest
}
