/**
 * `licd run`: holds a seat while a command runs.
 *
 * The command gets this program's standard streams, its signals and its exit code, as if it had been started
 * without it; the seat is given back when the command ends, however it ends. When this program itself is killed
 * (-9), the seat ends by itself within its time to live, like that of any client that died.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import type { ConnectOptions, LicenseEnd, Seat } from '../lib/index.ts'
import { LicdError } from '../lib/error.ts'
import { seatBounds } from '../lib/protocol/seat.ts'
import { systemClock } from '../raft/system.ts'
import { defineCommand, readSeconds, readWhole, usage } from './command.ts'
import { checkFeature } from './ctl/feature.ts'
import { exitCodes } from './exit-code.ts'
import type { Program } from './program.ts'
import { contextOption, natsOption, natsSource, poolOption } from './session.ts'
import { formatDate } from './table.ts'

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

export const runCommand = defineCommand({
  command: 'run',
  describe: 'Hold a seat while a command runs',
  positionals: {},
  options: {
    nats: natsOption,
    context: contextOption,
    pool: poolOption,
    feature: { type: 'string', demandOption: true, describe: 'The feature to hold a seat of' },
    count: { type: 'number', describe: 'How many seats, all or none', default: 1 },
    user: { type: 'string', describe: 'Who, as operators see it', defaultDescription: 'you' },
    host: {
      type: 'string',
      describe: 'Where, as operators see it',
      defaultDescription: 'this host',
    },
    wait: { type: 'number', describe: 'Seconds to wait for a seat to come free', default: 0 },
    'on-lost': {
      choices: ['kill', 'warn'],
      default: 'kill',
      describe:
        'When the seat is lost: end the command (SIGTERM, then SIGKILL), or only say so on standard error',
    },
    'lost-grace': {
      type: 'number',
      describe: 'Seconds from SIGTERM to SIGKILL after a loss',
      default: 10,
    },
  },
  examples: [
    ['run --feature cad -- cad drawing.dwg', 'start cad with a seat'],
    ['run --feature sim@2026 --count 4 --wait 3600 -- ./batch.sh', 'wait up to an hour for four'],
    ['run --feature cad --on-lost warn -- make', 'let the command go on whatever happens'],
  ],
  epilogue:
    'The command finds the seat\u2019s id in LICD_SEAT. Its exit code is passed on (128+n when signal n ended it); ' +
    '75 when there was no seat, 76 when the seat was lost and the command was ended for it. ' +
    'Signals are passed to the command. Ctrl-C and Ctrl-\\ in a terminal reach it directly.',
  run: async (args, program) => {
    const command = commandOf(args['--'])
    const { pool, feature, user, host } = args
    checkFeature(feature)
    const count = readWhole('--count', args.count, 1, seatBounds.countMax)
    const timeout = readSeconds('--wait', args.wait, seatBounds.waitMaxMs / 1000)
    const graceMs = readSeconds('--lost-grace', args.lostGrace, 86_400)
    const where = { ...natsSource(args), ...(pool === undefined ? {} : { pool }), waitMs: 0 }
    const request = {
      count,
      ...(timeout === 0 ? {} : { timeout }),
      ...(user === undefined ? {} : { user }),
      ...(host === undefined ? {} : { host }),
    }
    const lost = { isFatal: args.onLost === 'kill', graceMs }
    return await hold(program, { where, feature, request, command, lost })
  },
})

interface Job {
  readonly where: ConnectOptions
  readonly feature: string
  readonly request: { readonly count: number; readonly timeout?: number }
  readonly command: readonly [file: string, ...args: string[]]
  readonly lost: { readonly isFatal: boolean; readonly graceMs: number }
}

function commandOf(words: unknown): readonly [file: string, ...args: string[]] {
  const [file, ...args] = Array.isArray(words) ? words.map(String) : []
  if (file !== undefined && file !== '') return [file, ...args]
  throw usage('Say the command after --, for example: licd run --feature cad -- cad drawing.dwg.')
}

async function hold(program: Program, job: Job): Promise<number> {
  const { connect } = await import('../lib/index.ts')
  const signals = new Signals()
  try {
    const { signal } = signals
    await using client = await connect({ ...job.where, name: 'licd run', signal })
    await using seat = await client.acquire(job.feature, { ...job.request, signal })
    return await runWith(seat, { program, job, signals })
  } catch (error) {
    // Asked to end while it still waited: as any program that the signal ends.
    if (signals.received !== undefined) return exitCodes.signal + numberOf(signals.received)
    if (error instanceof LicdError && error.code === 'LICD_TIMEOUT') {
      program.note(`${error.code}: ${error.message}`)
      return exitCodes.noSeat
    }
    throw error
  } finally {
    signals.release()
  }
}

function runWith(
  seat: Seat,
  { program, job, signals }: { program: Program; job: Job; signals: Signals },
): Promise<number> {
  const [file, ...args] = job.command
  const env = { ...program.environment, LICD_SEAT: seat.id }
  return new Promise(resolve => {
    let isEnded = false
    let wasKilled = false
    const child = spawn(file, args, { stdio: 'inherit', env })
    signals.passTo(child)
    const warn = ({ code, at }: LicenseEnd): void => {
      program.note(
        `the license code ${code} of ${seat.feature} ends on ${formatDate(at.getTime())}`,
      )
    }
    if (seat.ends !== undefined) warn(seat.ends)
    seat.on('ending', warn)
    seat.on('moved', server => program.note(`the seat is at ${server} now`))
    seat.on('lost', error => {
      if (isEnded) return
      program.note(`${error.code}: ${error.message}`)
      if (!job.lost.isFatal) return
      program.note(`ending ${file}`)
      wasKilled = true
      end(child, job.lost.graceMs)
    })
    child.once('error', error => {
      // A child that runs may have an error too (a signal that could not be sent): its exit tells then.
      if (child.pid !== undefined || isEnded) return
      isEnded = true
      const isMissing = 'code' in error && error.code === 'ENOENT'
      program.note(`LICD_USAGE: ${file}: ${isMissing ? 'not found' : 'cannot be executed'}`)
      resolve(isMissing ? exitCodes.notFound : exitCodes.notRunnable)
    })
    child.once('exit', (code, signal) => {
      if (isEnded) return
      isEnded = true
      if (wasKilled) resolve(exitCodes.seatLost)
      else resolve(signal === null ? (code ?? 0) : exitCodes.signal + numberOf(signal))
    })
  })
}

/** SIGTERM, and SIGKILL when that did not help. */
function end(child: ChildProcess, graceMs: number): void {
  child.kill('SIGTERM')
  const timer = systemClock.after(graceMs, () => child.kill('SIGKILL'))
  child.once('exit', () => timer.cancel())
}

/** Signals to this program: they end the wait for a seat, and go to the command once it runs. */
class Signals {
  readonly #abort = new AbortController()
  /** Ctrl-C and Ctrl-\ in a terminal go to the whole group of processes, the command included: once is enough. */
  readonly #hasTerminal = process.stdin.isTTY
  #child: ChildProcess | undefined
  #received: NodeJS.Signals | undefined

  constructor() {
    for (const signal of forwarded) process.on(signal, this.#handle)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** The first signal that came before the command ran. */
  get received(): NodeJS.Signals | undefined {
    return this.#received
  }

  passTo(child: ChildProcess): void {
    this.#child = child
  }

  release(): void {
    for (const signal of forwarded) process.off(signal, this.#handle)
  }

  readonly #handle = (signal: NodeJS.Signals): void => {
    if (this.#child === undefined) {
      this.#received ??= signal
      this.#abort.abort()
      return
    }
    const isFromTerminal = this.#hasTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT')
    if (!isFromTerminal) this.#child.kill(signal)
  }
}

function numberOf(signal: NodeJS.Signals): number {
  return constants.signals[signal]
}
