/**
 * The command line of `licd`: what all commands have in common, and how it is read.
 *
 * Nothing here writes or ends the process: errors are thrown, help is what yargs hands out, so that tests can read
 * it without starting a process for each command.
 */
import yargs, { type Argv } from 'yargs'
import { packageVersion } from '../lib/version.ts'
import { usage, valueMark, type MakeCommand } from './command.ts'
import { exitCodeHelp } from './exit-code.ts'
import type { Program } from './program.ts'
import { standardInput } from './vendor/code-text.ts'

/**
 * The commands that a command line may mean. A server and a seat holder are to start quickly and to stay small: they
 * load no other commands, and what those need.
 */
export async function commandsFor(args: readonly string[]): Promise<readonly MakeCommand[]> {
  if (args[0] === 'serve') return [(await import('./serve.ts')).serveCommand]
  if (args[0] === 'run') return [(await import('./run.ts')).runCommand]
  return (await import('./commands.ts')).commands
}

/** A parser of one command line, which may have these commands. `exit` is told the exit code of the one that ran. */
export function createParser(
  program: Program,
  exit: (code: number) => void,
  commands: readonly MakeCommand[],
): Argv {
  const parser = yargs()
    .scriptName('licd')
    .usage('$0 <command>\n\nFloating licenses without a single point of failure.')
    .locale('en')
    .wrap(80)
    .parserConfiguration({
      'populate--': true,
      'dot-notation': false,
      'parse-positional-numbers': false,
      'greedy-arrays': false,
    })
    .option('config', {
      type: 'string',
      describe: 'JSON file with options; LICD_CONFIG',
      global: true,
    })
    .strict()
    .demandCommand(1, 'Say what to do: licd --help lists the commands.')
    .recommendCommands()
    .completion('completion', 'Print a script for shell completion')
    .example('licd dev', 'a whole pool on this machine, to look at')
    .example('licd ctl status', 'who leads, who is up, what is free')
    .example('licd run --feature cad -- cad a.dwg', 'hold a seat meanwhile')
    .example('licd completion >> ~/.bashrc', 'complete by the tab key')
    .epilogue(exitCodeHelp)
    .version(packageVersion())
    .help()
    .alias('h', 'help')
    // Errors come back to the caller instead of ending the process somewhere inside.
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? usage(message ?? 'It cannot be read.')
    })
  for (const make of commands) parser.command(make(program, exit))
  return parser
}

/**
 * The arguments as the parser takes them; what follows `--` is the command's own.
 *
 * One in 64 ids of keys that others made begins with a hyphen, and would be taken for options.
 */
export function readArguments(args: readonly string[]): string[] {
  const end = args.indexOf('--')
  return args.map((arg, at) => {
    if (end >= 0 && at >= end) return arg
    if (isKeyIdLikeOption(arg)) return `${valueMark}${arg}`
    return arg === '-' ? standardInput : arg
  })
}

/** A thumbprint (RFC 7638) that begins with a hyphen. No option is so long. */
function isKeyIdLikeOption(arg: string): boolean {
  return /^-[\w-]{42}$/.test(arg)
}
