/** `licd serve`: one license server. */
import { defineCommand } from './command.ts'
import { exitCodeOf, exitCodes } from './exit-code.ts'
import type { StartOptions } from '../lib/server/run.ts'
import { harmless, type Program } from './program.ts'
import type { FoundNats } from './serve-nats.ts'
import { contextOption, natsOption } from './session.ts'

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const

export const serveCommand = defineCommand({
  command: 'serve',
  describe: 'Run one license server from its data folder',
  positionals: {},
  options: {
    data: {
      type: 'string',
      demandOption: true,
      describe: 'Its data folder, made by licd init; LICD_DATA',
    },
    nats: natsOption,
    context: contextOption,
    'run-nats': {
      type: 'boolean',
      describe: 'Run a nats-server beside it; --no-run-nats: another one runs it',
      defaultDescription: 'where licd init configured one',
    },
    pool: { type: 'string', describe: 'Refuse to run unless the folder is of this pool' },
    server: { type: 'string', describe: 'Refuse to run unless the folder is of this server' },
    http: {
      type: 'string',
      describe:
        'Where its page, API and figures are: HOST:PORT, :PORT for all interfaces, or off; ' +
        'unset: 127.0.0.1:4290, or any free port there. No sign-in: let in only whom you trust',
    },
    'http-url': {
      type: 'string',
      describe: 'What others call that address, if otherwise: https://licd-1.example.com',
    },
    'log-level': {
      type: 'string',
      choices: logLevels,
      default: 'info',
      describe: 'What is logged, as JSON lines on standard error',
    },
  },
  examples: [
    ['serve --data /var/lib/licd', 'with its own nats-server, where the pool was made with hosts'],
    ['serve --data /var/lib/licd --nats nats://n1:4222,nats://n2:4222', 'NATS elsewhere'],
    ['serve --data /var/lib/licd --http :4290', 'its page for all who reach this host'],
    ['serve --config /etc/licd.json', 'with {"data": "/var/lib/licd", "nats": "nats://n1:4222"}'],
  ],
  epilogue:
    'Prints `ready SERVER of POOL` when it serves. SIGTERM or SIGINT stops it cleanly: unused ' +
    'allocations go back, seats are kept for its next start; a second signal ends it at once. SIGHUP has it read its ' +
    'configuration file (log-level), its credentials and its nats-server\u2019s configuration and certificates again: all of ' +
    'that or, where anything is wrong, nothing. ' +
    'It waits for NATS as long as it takes; a nats-server that it runs itself is started again when it dies, and ' +
    'stopped at the end. Without TLS and roles that listens on this host alone. A server that is taken out of the pool (licd ctl ' +
    'servers remove) ends by itself, with exit code 0.',
  run: async (args, program) => await serve(args, program),
})

interface ServeArgs {
  readonly data: string
  readonly nats: string | undefined
  readonly context: string | undefined
  readonly runNats: boolean | undefined
  readonly pool: string | undefined
  readonly server: string | undefined
  readonly logLevel: string
  readonly http: string | undefined
  readonly httpUrl: string | undefined
}

async function serve(args: ServeArgs, program: Program): Promise<number> {
  const { startServer } = await import('../lib/server/run.ts')
  const { findNats } = await import('./serve-nats.ts')
  const { Reload } = await import('./reload.ts')
  const { createLogger, logLevelOf } = await import('../lib/log.ts')
  const level = logLevelOf(args.logLevel)
  const { data, pool, server } = args
  const stop = new AbortController()
  const signals = catchSignals(program, stop)
  let fail: (code: number) => void = () => undefined
  const failed = new Promise<number>(resolve => (fail = resolve))
  const log = createLogger({ level, base: serverLabels(args) })
  let nats: FoundNats | undefined
  try {
    nats = await findNats(args, { program, log })
    const reload = new Reload({ program, log, nats, logLevel: args.logLevel })
    signals.onHangUp(reload.handle)
    const running = await startServer({
      dataFolder: data,
      ...(pool === undefined ? {} : { pool }),
      ...(server === undefined ? {} : { server }),
      nats: nats.options,
      ...(nats.runs ? { reloadNats: reload.handle } : {}),
      http: await httpOf(args),
      log,
      signal: stop.signal,
      onFatal: error => {
        process.stderr.write(`licd: ${error.code}: ${harmless(error.message)}\n`)
        // An operator took it out: that is no failure, and nothing that starting it again would mend.
        fail(error.code === 'LICD_SERVER_REMOVED' ? exitCodes.ok : exitCodeOf(error.code))
      },
      onStanding: (standing, { server: name, pool: of }) => {
        if (standing === 'new') {
          program.note(`waiting to be taken into pool ${of}: licd ctl servers add ${name}`)
        } else if (standing === 'removed') {
          program.note(
            `${name} was taken out of pool ${of}; to take it in: licd ctl servers add ${name}`,
          )
        }
      },
    })
    if (nats.remark !== undefined) program.note(nats.remark)
    void running.serving.then(
      () => program.print(`ready ${running.server} of ${running.pool}`),
      () => undefined,
    )
    const stopped = new Promise<number>(resolve => {
      if (stop.signal.aborted) resolve(exitCodes.ok)
      stop.signal.addEventListener('abort', () => resolve(exitCodes.ok))
    })
    const code = await Promise.race([stopped, failed])
    await running.stop()
    return code
  } catch (error) {
    // Stopped while it still waited for NATS: that is what was asked for.
    if (stop.signal.aborted) return exitCodes.ok
    throw error
  } finally {
    await nats?.stop()
    signals.release()
  }
}

async function httpOf({ http, httpUrl }: ServeArgs): Promise<StartOptions['http']> {
  const { defaultHttp, parseHttpAddress, parseHttpUrl } = await import('../lib/http/address.ts')
  const address = parseHttpAddress(http ?? defaultHttp)
  if (address === undefined) return undefined
  const knownAs = httpUrl === undefined ? {} : { knownAs: parseHttpUrl(httpUrl) }
  return { address, isDefault: http === undefined, ...knownAs }
}

function serverLabels({ pool, server }: ServeArgs): Record<string, string> {
  return {
    ...(pool === undefined ? {} : { pool }),
    ...(server === undefined ? {} : { server }),
  }
}

/** The first signal stops cleanly, the second ends the process at once, as a crash would: that is safe as well. */
function catchSignals(
  program: Program,
  stop: AbortController,
): { onHangUp(reload: () => void): void; release(): void } {
  // Before it runs there is nothing to read again; the signal must not end it all the same.
  let hangUp: () => void = () => {}
  const handleHangUp = (): void => hangUp()
  const handle = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    program.note(`${signal}: stopping; once more ends it at once`)
    stop.abort()
  }
  process.on('SIGTERM', handle)
  process.on('SIGINT', handle)
  process.on('SIGHUP', handleHangUp)
  return {
    onHangUp: reload => void (hangUp = reload),
    release() {
      process.off('SIGTERM', handle)
      process.off('SIGINT', handle)
      process.off('SIGHUP', handleHangUp)
    },
  }
}
