/**
 * The log of a server: one JSON line an event, to standard error, by pino.
 *
 * Fields with the names of secrets are left out whatever the caller passes, so that a log can be sent to
 * whoever helps. The event's name is the line's `msg`; names are stable and kebab-case, for machines to match.
 */
import { destination, pino, stdSerializers, type DestinationStream, type Level } from 'pino'
import type { Logger } from '../raft/ports.ts'
import { LicdError } from './error.ts'

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const secrets = ['macKey', 'privateKey', 'key', 'token', 'nonce', 'password', 'credentials', 'text']

/** The level that `LICD_LOG_LEVEL` asks for, `info` when it says nothing. Throws LICD_BAD_CONFIG. */
export function logLevelOf(text: string | undefined): LogLevel {
  if (text === undefined || text === '') return 'info'
  const level = logLevels.find(known => known === text)
  if (level !== undefined) return level
  throw new LicdError(
    'LICD_BAD_CONFIG',
    `The log level ${JSON.stringify(text)} is none of ${logLevels.join(', ')}.`,
  )
}

/** A logger whose level can change. */
export interface ServerLog extends Logger {
  setLevel(level: LogLevel): void
}

/** A logger whose every line carries `base`, written to standard error unless `to` is given. */
export function createLogger(
  options: {
    readonly level?: LogLevel
    readonly base?: Readonly<Record<string, string>>
    readonly to?: DestinationStream
  } = {},
): ServerLog {
  const log = pino(
    {
      level: options.level ?? logLevelOf(process.env.LICD_LOG_LEVEL),
      base: options.base ?? {},
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: label => ({ level: label }) },
      serializers: { error: serializeError },
      redact: { paths: [...secrets, ...secrets.map(name => `*.${name}`)], remove: true },
    },
    options.to ?? destination({ fd: 2, sync: true }),
  )
  const write = (level: Level) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
    if (fields === undefined) log[level](event)
    else log[level](fields, event)
  }
  return {
    ...{ debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    setLevel: level => void (log.level = level),
  }
}

function serializeError(error: unknown): unknown {
  return error instanceof Error ? stdSerializers.err(error) : error
}
