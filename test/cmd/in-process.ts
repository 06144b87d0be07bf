/**
 * Runs a command of `licd` in this process: the same code from the command line on, without the half second that
 * a new process costs. What only a process has (exit, signals, the line on standard error) is tested with one.
 */
import { LicdError } from '../../lib/error.ts'
import { Progress } from '../../lib/progress.ts'
import { systemClock } from '../../raft/index.ts'
import { commands } from '../../cmd/commands.ts'
import { createParser } from '../../cmd/parser.ts'
import type { Program } from '../../cmd/program.ts'
import { Settings } from '../../cmd/settings.ts'

export interface Called {
  /** The exit code, or the error's code where it failed. */
  readonly code: number | string
  readonly stdout: string
  readonly notes: string
  readonly message: string
}

export interface CallOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly columns?: number
  readonly onNote?: (text: string) => void
}

export interface Captured extends Program {
  readonly printed: string[]
  readonly noted: string[]
}

/** A program whose output is kept. Its environment is only what is given. */
export function captureProgram({ env = {}, columns, onNote }: CallOptions = {}): Captured {
  const environment = { HOME: '/nonexistent', ...env }
  const printed: string[] = []
  const noted: string[] = []
  return {
    environment,
    settings: new Settings(environment, undefined),
    columns,
    progress: new Progress({ write: () => true }, systemClock),
    printed,
    noted,
    print: text => void printed.push(text),
    printJson: value => void printed.push(JSON.stringify(value)),
    note: text => {
      noted.push(text)
      onNote?.(text)
    },
    paint: (_format, text) => text,
  }
}

export async function call(args: readonly string[], options: CallOptions = {}): Promise<Called> {
  const program = captureProgram(options)
  let code: number | string = -1
  let message = ''
  try {
    await createParser(program, ended => void (code = ended), commands).parseAsync([...args])
  } catch (error) {
    if (!(error instanceof LicdError)) throw error
    code = error.code
    message = error.message
  }
  return { code, stdout: program.printed.join('\n'), notes: program.noted.join('\n'), message }
}
