/**
 * The nats-server beside a license server: started before it, started again when it dies, stopped after it.
 *
 * With the configuration that `licd init` made it has TLS and roles and is reached from other hosts. Without one it
 * has neither, and so listens on loopback alone.
 *
 * An adapter to the operating system: real processes, sockets and timers.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Logger } from '../raft/ports.ts'
import { defaultPort } from './access/address.ts'
import { natsFiles, natsFolder } from './access/nats-config.ts'
import { codes, LicdError } from './error.ts'
import { startNatsServer, type NatsServer, type NatsServerOptions } from './nats-server.ts'

export interface OwnNats {
  readonly url: string
  /** Of the process that runs now; undefined between two. */
  readonly pid: number | undefined
  /** Has it read its configuration and certificates again (SIGHUP); one that is down reads them at its start. */
  reload(): void
  /** Ends it and waits until it is gone. Twice does no harm. */
  stop(): Promise<void>
}

export interface OwnNatsOptions {
  /** What a nats-server is started with. */
  readonly server: NatsServerOptions
  readonly log: Logger
}

/** One that ends is started again after the first of these, twice as long after each failure, at most the second. */
const backOffMs = { first: 100, most: 10_000 } as const
/** One that ran so long has not failed: the next failure is the first again. */
const steadyMs = 30_000
/** Lines of its log that are passed on in a span of `steadyMs`: what strangers do to it shall not fill a disk. */
const linesMax = 20

/** The nats-server that `licd init` or `licd join` configured in a data folder, and the way into it. */
export function ownConfig(
  dataFolder: string,
): { readonly server: NatsServerOptions; readonly context: string } | undefined {
  const folder = join(resolve(dataFolder), natsFolder)
  if (!existsSync(join(folder, natsFiles.config))) return undefined
  const server = { config: { folder, file: natsFiles.config } }
  return { server, context: join(folder, natsFiles.context) }
}

/** Without TLS and roles: on this host alone. */
export const onLoopback: NatsServerOptions = { port: defaultPort }

/**
 * Starts it and resolves when it answers.
 *
 * @throws LicdError LICD_NATS_MISSING, LICD_NATS_UNREACHABLE (it did not start: the last lines of its log say why)
 */
export async function startOwnNats({ server, log }: OwnNatsOptions): Promise<OwnNats> {
  const onLine = passOn(log)
  const start = (): Promise<NatsServer> => startNatsServer({ ...server, onLine })
  let running: NatsServer | undefined = await start()
  const { url } = running
  log.info('nats-started', { url, pid: running.pid })
  const stopping = new AbortController()
  const watching = (async () => {
    let failures = 0
    while (!stopping.signal.aborted) {
      const startedAt = performance.now()
      await running?.ended
      if (stopping.signal.aborted) return
      if (performance.now() - startedAt > steadyMs) failures = 0
      running = undefined
      const waitMs = Math.min(backOffMs.first * 2 ** failures, backOffMs.most)
      failures++
      log.error('nats-ended', { url, failures, againInMs: waitMs })
      if (!(await pause(waitMs, stopping.signal))) return
      try {
        running = await start()
        log.info('nats-started', { url, pid: running.pid })
      } catch (error) {
        log.error('nats-not-started', { error })
      }
    }
  })()
  return {
    url,
    get pid() {
      return running?.pid
    },
    reload() {
      if (running !== undefined && !stopping.signal.aborted) process.kill(running.pid, 'SIGHUP')
    },
    async stop() {
      stopping.abort()
      await running?.stop()
      await watching
      // It may have been on its way up when it was told to stop.
      await running?.stop()
    },
  }
}

/** The warnings and errors of its log go on in the license server's own. */
function passOn(log: Logger): (line: string) => void {
  let since = performance.now()
  let count = 0
  return line => {
    const [, level, text = ''] = /^\[\d+\] \S+ \S+ \[(WRN|ERR|FTL)\] (.*)$/.exec(line) ?? []
    if (level === undefined) return
    if (performance.now() - since > steadyMs) {
      since = performance.now()
      count = 0
    }
    count++
    if (count < linesMax) log.warn('nats-says', { kind: level, said: text })
    else if (count === linesMax) log.warn('nats-says-more', { quietMs: steadyMs })
  }
}

/** False when it was cut short. */
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  const whole = setTimeout(ms, true, { signal })
  return whole.catch(() => false)
}

/** Says what to do about a nats-server that does not start. */
export function ownNatsError(cause: unknown): unknown {
  if (!(cause instanceof LicdError) || cause.code !== 'LICD_NATS_UNREACHABLE') return cause
  const detail =
    'The nats-server beside this server did not start. If another one is meant, say --no-run-nats.'
  const why = cause.message.replace(codes.LICD_NATS_UNREACHABLE, '').trim()
  return new LicdError('LICD_NATS_UNREACHABLE', `${detail} ${why}`, { cause })
}
