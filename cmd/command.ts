/**
 * One shape for all commands: declared options, examples, and a function that runs.
 *
 * What the command line does not give is taken from the settings; values are checked here, once (a number that is
 * none, an option given twice), so that a command gets what its types say. A command returns its exit code, or
 * nothing for 0, and throws a LicdError for everything that goes wrong.
 */
import type {
  Argv,
  ArgumentsCamelCase,
  CommandModule,
  InferredOptionTypes,
  Options,
  PositionalOptions,
} from 'yargs'
import { LicdError } from '../lib/error.ts'
import type { Program } from './program.ts'

type OptionSet = Readonly<Record<string, Options>>
type PositionalSet = Readonly<Record<string, PositionalOptions>>

export interface CommandSpec<O extends OptionSet, P extends PositionalSet> {
  /** As yargs has it: `add <feature> <count>`. */
  readonly command: string
  readonly describe: string
  readonly options: O
  readonly positionals: P
  /** Command line (without `licd`) and what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[]
  /** Shown below the options. */
  readonly epilogue?: string
  /** Commands below it; it runs itself when none is named. */
  readonly commands?: readonly MakeCommand[]
  readonly run: (
    args: ArgumentsCamelCase<InferredOptionTypes<O> & InferredOptionTypes<P>>,
    program: Program,
  ) => Promise<number | undefined>
}

/** Before a value that looks like an option, from the command line to the command. */
export const valueMark = '\u0001'

function unmarked(value: unknown): unknown {
  return typeof value === 'string' && value.startsWith(valueMark) ? value.slice(1) : value
}

export type MakeCommand = (program: Program, exit: (code: number) => void) => CommandModule

/** A command that does something. */
export function defineCommand<const O extends OptionSet, const P extends PositionalSet>(
  spec: CommandSpec<O, P>,
): MakeCommand {
  return (program, exit) => ({
    command: spec.command,
    describe: spec.describe,
    builder: yargs => {
      for (const [name, option] of Object.entries<PositionalOptions>(spec.positionals)) {
        yargs.positional(name, option)
      }
      for (const [name, option] of Object.entries<Options>(spec.options)) {
        yargs.option(name, withSetting(program, name, option))
      }
      for (const [line, does] of spec.examples) yargs.example(`licd ${line}`, does)
      if (spec.epilogue !== undefined) yargs.epilogue(spec.epilogue)
      for (const make of spec.commands ?? []) yargs.command(make(program, exit))
      return yargs
    },
    handler: async args => {
      for (const [name, value] of Object.entries(args)) args[name] = unmarked(value)
      checkValues(spec.options, args)
      // What yargs made of the declared options is what they declare: the one place where types are taken on trust.
      const typed = args as ArgumentsCamelCase<InferredOptionTypes<O> & InferredOptionTypes<P>>
      try {
        exit((await spec.run(typed, program)) ?? 0)
      } finally {
        program.progress.clear()
      }
    },
  })
}

/** A command that only has commands below it. */
export function defineGroup(
  command: string,
  describe: string,
  commands: readonly MakeCommand[],
  examples: readonly (readonly [line: string, does: string])[],
): MakeCommand {
  // `key` is one command, and `ctl key` another: examples begin with all of its words.
  const words = examples[0]?.[0].split(' ') ?? []
  const whole = words.slice(0, words.indexOf(command) + 1).join(' ')
  return (program, exit) => ({
    command,
    describe,
    builder: (yargs: Argv) => {
      for (const make of commands) yargs.command(make(program, exit))
      for (const [line, does] of examples) yargs.example(`licd ${line}`, does)
      return yargs.demandCommand(1, `Say which: licd ${whole} --help lists them.`)
    },
    handler: () => undefined,
  })
}

function withSetting(program: Program, name: string, option: Options): Options {
  const setting = program.settings.find(name)
  if (setting === undefined) return option
  const { demandOption: _demandOption, defaultDescription: _description, ...rest } = option
  return { ...rest, default: setting.value, defaultDescription: `from ${setting.from}` }
}

function checkValues(options: OptionSet, args: Readonly<Record<string, unknown>>): void {
  for (const [name, option] of Object.entries(options)) {
    const value = args[name]
    if (value === undefined || option.type === 'array' || option.array === true) continue
    if (Array.isArray(value)) throw usage(`--${name} is given more than once.`)
    if (option.type === 'number' && !Number.isFinite(value)) {
      throw usage(`--${name} needs a number.`)
    }
    if (option.type === 'string' && value === '') throw usage(`--${name} needs a value.`)
  }
}

/** `detail` becomes a sentence where it is none: the parser's own messages are not. */
export function usage(detail: string): LicdError {
  return new LicdError('LICD_USAGE', /[.?!]$/.test(detail) ? detail : `${detail}.`)
}

/** A whole number on the command line. Throws LICD_USAGE naming `what`. */
export function readWhole(what: string, value: unknown, min: number, max: number): number {
  const figure = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (
    typeof figure === 'number' &&
    Number.isSafeInteger(figure) &&
    figure >= min &&
    figure <= max
  ) {
    return figure
  }
  throw usage(`${what} must be a whole number from ${min} to ${max.toLocaleString('en')}.`)
}

/** Seconds on the command line, as milliseconds. Throws LICD_USAGE. */
export function readSeconds(what: string, value: number, maxSeconds: number): number {
  if (value >= 0 && value <= maxSeconds) return Math.round(value * 1000)
  throw usage(`${what} must be from 0 to ${maxSeconds.toLocaleString('en')} seconds.`)
}
