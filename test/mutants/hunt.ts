/** Sends a hunter and hears what it found, within a time. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Hunt, Orders } from './hunter.ts'

export interface Bag {
  readonly hunts: readonly Hunt[]
  /** What went wrong with the hunter itself: it does not count as a finding. */
  readonly trouble?: string
  readonly ms: number
}

/** At most so much of what a hunter says is kept. */
const maxOutput = 1024 * 1024

/** Carries out orders one after the other in a process of its own, which is killed after `limitMs`. */
export function hunt(orders: readonly Orders[], limitMs: number): Promise<Bag> {
  const begun = performance.now()
  return new Promise(resolve => {
    const program = fileURLToPath(new URL('hunter.js', import.meta.url))
    const child = spawn(process.execPath, [program, JSON.stringify(orders)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
    })
    const said = { output: '', errors: '' }
    const hear = (what: keyof typeof said) => (data: Buffer) => {
      said[what] = `${said[what]}${data.toString()}`.slice(0, maxOutput)
    }
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, limitMs)
    child.stdout.on('data', hear('output'))
    child.stderr.on('data', hear('errors'))
    child.on('close', code => {
      clearTimeout(timer)
      const lines = said.output.split('\n').slice(0, -1)
      const hunts = lines.map(line => JSON.parse(line) as Hunt)
      const trouble = isLate
        ? `not done within ${limitMs} ms`
        : code === 0
          ? brokenIn(hunts)
          : `ended with ${String(code)}: ${said.errors.slice(0, 500)}`
      const ms = performance.now() - begun
      resolve({ hunts, ms, ...(trouble === undefined ? {} : { trouble }) })
    })
  })
}

function brokenIn(hunts: readonly Hunt[]): string | undefined {
  const broken = hunts.find(one => one.broken === true)
  return broken && `threw what is no finding: ${broken.by ?? ''}`
}

/** Without what a test runner hooks into the processes it starts. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, ...rest } = process.env
  return rest
}
