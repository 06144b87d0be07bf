/**
 * What every command has of the world around it: where it writes, and what was set outside the command line.
 *
 * Standard output is for results alone, standard error for everything else, so that `--json` can be piped. Text
 * from outside is made harmless before it reaches a terminal.
 */
import { styleText } from 'node:util'
import type { LicdError } from '../lib/error.ts'
import { Progress } from '../lib/progress.ts'
import { seconds } from '../lib/seconds.ts'
import { systemClock } from '../raft/system.ts'
import type { Environment, Settings } from './settings.ts'

type Format = Parameters<typeof styleText>[0]

export interface Program {
  readonly environment: Environment
  readonly settings: Settings
  /** Columns of the terminal; undefined where the output is no terminal: then nothing is cut. */
  readonly columns: number | undefined
  /** What takes longer than a second says what it does; taken away when the command ends. */
  readonly progress: Progress
  /** One or more lines of a result. */
  print(text: string): void
  /** One result for programs, on a line of its own. */
  printJson(value: unknown): void
  /** A remark for people, on standard error. */
  note(text: string): void
  /** Colours text on a terminal where colours are wanted, else returns it as it is. */
  paint(format: Format, text: string): string
}

export function createProgram(environment: Environment, settings: Settings): Program {
  const { stdout, stderr } = process
  const isColoured =
    stdout.isTTY &&
    (environment.NO_COLOR === undefined || environment.NO_COLOR === '') &&
    environment.TERM !== 'dumb'
  const progress = new Progress(stderr, systemClock, environment.TERM)
  return {
    environment,
    settings,
    progress,
    columns: stdout.isTTY ? Math.max(stdout.columns, 80) : undefined,
    print: text => progress.above(() => stdout.write(`${text}\n`)),
    printJson: value => progress.above(() => stdout.write(`${JSON.stringify(value)}\n`)),
    note: text => progress.above(() => stderr.write(`licd: ${harmless(text)}\n`)),
    paint: (format, text) =>
      isColoured ? styleText(format, text, { validateStream: false }) : text,
  }
}

/** What went wrong, and, where that is known, when to try again: said once, here. */
export function messageOf({ message, retryAfterMs }: LicdError): string {
  if (retryAfterMs === undefined) return message
  // No shorter time can be said.
  return `${message} Try again in ${seconds(Math.max(100, retryAfterMs))}.`
}

/** Text from outside for one line of a terminal: no escapes, no line breaks, nothing that reorders what is shown. */
export function harmless(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/\p{C}/gu, '?')
}

/** The same with the spaces it starts with, which mean something in a table or a list. */
export function harmlessLine(text: string): string {
  const start = /^ */.exec(text)?.[0] ?? ''
  return start + harmless(text.slice(start.length))
}
