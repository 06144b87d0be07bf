/**
 * The `licd` program: reads the command line, runs one command, and ends with its exit code.
 *
 * Whatever goes wrong becomes one line on standard error, `licd: CODE: message`, and an exit code (exit-code.ts).
 * Commands load what they need when they run, so that `--help` is quick.
 */
import { LicdError } from '../lib/error.ts'
import { withoutSecrets } from '../lib/without-secrets.ts'
import { exitCodeOf } from './exit-code.ts'
import { commandsFor, createParser, readArguments } from './parser.ts'
import { createProgram, harmless, messageOf } from './program.ts'
import { configFileOf, Settings } from './settings.ts'

async function main(args: readonly string[]): Promise<number> {
  const { env } = process
  const file = configFileOf(args, env)
  // The doctor is asked what is wrong with it.
  const settings = args[0] === 'doctor' ? Settings.lenient(env, file) : new Settings(env, file)
  const program = createProgram(env, settings)
  if (hasSecret(args)) {
    program.note(
      'others on this host can read a password in --nats: LICD_NATS or --context hides it',
    )
  }
  let exitCode = 0
  const exit = (code: number): void => void (exitCode = code)
  await createParser(program, exit, await commandsFor(args)).parseAsync(readArguments(args))
  return exitCode
}

/** True for `--nats nats://user:password@host`; what follows `--` is the command's own. */
function hasSecret(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? undefined : end).some((arg, at, own) => {
    const value = arg.startsWith('--nats=') ? arg.slice(7) : own[at - 1] === '--nats' ? arg : ''
    return withoutSecrets(value) !== value
  })
}

/** Tells what went wrong, and returns the exit code that says it. */
function report(error: unknown): number {
  const known =
    error instanceof LicdError
      ? error
      : new LicdError('LICD_INTERNAL', error instanceof Error ? error.message : String(error))
  process.stderr.write(`licd: ${known.code}: ${harmless(messageOf(known))}\n`)
  if (known.code === 'LICD_INTERNAL' && process.env.LICD_DEBUG !== undefined) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`)
  }
  return exitCodeOf(known.code)
}

// Whoever reads the output may have seen enough (`licd ctl seats | head`): that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

void main(process.argv.slice(2))
  .catch(report)
  .then(code => {
    // What is written is written before the process ends, whatever else may still hold it.
    process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
  })
