/** `licd dev`: a whole pool on this machine, to look at. */
import { fileURLToPath } from 'node:url'
import { defineCommand, readSeconds } from './command.ts'
import type { Program } from './program.ts'

export const devCommand = defineCommand({
  command: 'dev',
  describe: 'Run a whole pool on this machine, with demo clients, and show it',
  positionals: {},
  options: {
    data: { type: 'string', describe: 'Keep the data here instead of in a temporary folder' },
    nats: {
      type: 'string',
      describe: 'Use this NATS server; LICD_NATS',
      defaultDescription: 'nats-server of this machine, else a built-in broker',
    },
    embedded: {
      type: 'boolean',
      default: false,
      describe: 'The built-in broker even where a nats-server is found',
    },
    seconds: { type: 'number', describe: 'End after so many seconds' },
  },
  examples: [
    ['dev', 'watch shares move; k kills the leader, r restarts it, q quits'],
    ['dev --seconds 30 | cat', 'plain lines for half a minute'],
  ],
  epilogue: 'For trying out: nothing is encrypted, and anyone on this machine may use the pool.',
  run: async (args, program) => {
    const { runDev } = await import('../lib/dev/dev.ts')
    const end = new AbortController()
    const onSignal = () => end.abort()
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal)
    const seconds =
      args.seconds === undefined ? undefined : readSeconds('--seconds', args.seconds, 86_400)
    const timer = seconds === undefined ? undefined : setTimeout(onSignal, seconds)
    try {
      await runDev({
        program: fileURLToPath(new URL('./start.cjs', import.meta.url)),
        ...(args.data === undefined ? {} : { data: args.data }),
        ...(args.nats === undefined ? {} : { nats: args.nats }),
        embedded: args.embedded,
        ...terminal(),
        colours: hasColours(program),
        print: line => program.print(line),
        progress: program.progress,
        signal: end.signal,
        command: ownCommand(),
      })
    } finally {
      clearTimeout(timer)
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal)
    }
    return 0
  },
})

function terminal() {
  const { stdin, stdout } = process
  return stdin.isTTY && stdout.isTTY ? { terminal: { input: stdin, output: stdout } } : {}
}

function hasColours({ environment }: Program): boolean {
  const { NO_COLOR: noColour } = environment
  return process.stdout.isTTY && (noColour === undefined || noColour === '')
}

/** What to type to call this very program again. */
function ownCommand(): string {
  const script = process.argv[1] ?? 'licd'
  return script.endsWith('.js') ? `node ${script}` : 'licd'
}
