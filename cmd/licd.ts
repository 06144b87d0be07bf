#!/usr/bin/env node
/**
 * The `licd` program: reads the command line, runs one command, and ends with its exit code.
 *
 * Whatever goes wrong becomes one line on standard error, `licd: CODE: message`, and an exit code (exit-code.ts).
 * Commands load what they need when they run, so that `--help` is quick.
 */
import { readFileSync } from 'node:fs'
import yargs from 'yargs'
import { LicdError } from '../lib/error.ts'
import { packageFolder } from '../lib/nats-server.ts'
import { usage, type MakeCommand } from './command.ts'
import { ctlCommand } from './ctl.ts'
import { devCommand } from './dev.ts'
import { exitCodeHelp, exitCodeOf } from './exit-code.ts'
import { initCommand } from './init.ts'
import { createProgram, harmless } from './program.ts'
import { runCommand } from './run.ts'
import { serveCommand } from './serve.ts'
import { configFileOf, Settings } from './settings.ts'
import { vendorCommand } from './vendor.ts'

const commands: readonly MakeCommand[] = [
  devCommand,
  initCommand,
  serveCommand,
  runCommand,
  ctlCommand,
  vendorCommand,
]

async function main(args: readonly string[]): Promise<number> {
  const { env } = process
  const program = createProgram(env, new Settings(env, configFileOf(args, env)))
  let exitCode = 0
  const parser = yargs([...args])
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
    .example('licd ctl status', 'who leads, who is up, and what is free')
    .example('licd run --feature cad -- cad drawing.dwg', 'hold a seat meanwhile')
    .example('licd completion >> ~/.bashrc', 'complete commands by the tab key')
    .epilogue(exitCodeHelp)
    .version(readVersion())
    .help()
    .alias('h', 'help')
    // Errors come back here instead of ending the process somewhere inside.
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? usage(message ?? 'It cannot be read.')
    })
  for (const make of commands) parser.command(make(program, code => void (exitCode = code)))
  await parser.parseAsync()
  return exitCode
}

function readVersion(): string {
  const value: unknown = JSON.parse(readFileSync(`${packageFolder()}/package.json`, 'utf8'))
  const isPackage = typeof value === 'object' && value !== null && 'version' in value
  return isPackage ? String(value.version) : 'unknown'
}

/** Tells what went wrong, and returns the exit code that says it. */
function report(error: unknown): number {
  const known =
    error instanceof LicdError
      ? error
      : new LicdError('LICD_INTERNAL', error instanceof Error ? error.message : String(error))
  process.stderr.write(`licd: ${known.code}: ${harmless(known.message)}\n`)
  if (known.code === 'LICD_INTERNAL' && process.env.LICD_DEBUG !== undefined) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`)
  }
  return exitCodeOf(known.code)
}

// Whoever reads the output may have seen enough (`licd ctl seats | head`): that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

const code = await main(process.argv.slice(2)).catch(report)
// What is written is written before the process ends, whatever else may still hold it.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
