/**
 * Regressions of bugs that really happened, each under a name: a transcript beside this file, or a scenario of the
 * shell. They run here, and in a build with the bug put back, where they must fail.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runTranscript } from '../transcript.ts'

export type Scenario = () => void | Promise<void>

/** Where the transcripts are: with the sources, wherever the compiled code runs. */
export function bugFolder(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, 'test', 'raft', 'bugs', 'README.md')
    if (existsSync(candidate)) return dirname(candidate)
    assert.notEqual(dirname(folder), folder, 'the folder of bugs is not above')
  }
}

export function bugTranscripts(): string[] {
  return readdirSync(bugFolder())
    .filter(name => name.endsWith('.txt'))
    .sort()
}

/** Modules of scenarios, by the name of their file; each exports `scenarios`. */
export const scenarioModules = ['shell', 'disk'] as const

/** `name.txt` is a transcript, `file#name` a scenario. Throws an AssertionError when the bug is there. */
export async function runRegression(name: string): Promise<void> {
  if (name.endsWith('.txt')) {
    const difference = runTranscript(name, bugFolder())
    if (difference === undefined) return
    const { line, expected, found } = difference
    assert.fail(`${name}:${line}: expected "${expected}", found "${found}"`)
  }
  const [file = '', scenario = ''] = name.split('#')
  const { scenarios } = (await import(`./${file}.js`)) as {
    readonly scenarios: Readonly<Record<string, Scenario>>
  }
  const run = scenarios[scenario]
  assert(run !== undefined, `there is no scenario ${name}`)
  await run()
}

/** All of them, by name. */
export async function allRegressions(): Promise<string[]> {
  const names = bugTranscripts()
  for (const file of scenarioModules) {
    const { scenarios } = (await import(`./${file}.js`)) as {
      readonly scenarios: Readonly<Record<string, Scenario>>
    }
    names.push(...Object.keys(scenarios).map(name => `${file}#${name}`))
  }
  return names
}
