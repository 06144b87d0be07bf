/**
 * Exit codes of the program: what a script may rely on. The README and `licd --help` print this table.
 */
import type { Code } from '../lib/error.ts'

export const exitCodes = {
  ok: 0,
  /** Refused, or failed in another way. */
  refused: 1,
  /** The command line, the environment or the configuration file is wrong. */
  usage: 2,
  /** No NATS server, no license server, or no leader answers. */
  unreachable: 3,
  /** Whether the change took effect is not known. */
  unknown: 4,
  /** The data folder is missing, taken, foreign or damaged, or its disk failed. */
  data: 5,
  /** A defect in licd. */
  defect: 70,
  /** `licd run`: no seat. 75 is sysexits' EX_TEMPFAIL: try again later. */
  noSeat: 75,
  /** `licd run`: the seat was lost and the command was ended for it. */
  seatLost: 76,
  /** `licd run`: the command cannot be run, or is not found, as shells have it. */
  notRunnable: 126,
  notFound: 127,
  /** `licd run`: plus the number of the signal that ended the command, as shells have it. */
  signal: 128,
} as const

const byCode: Partial<Record<Code, number>> = {
  LICD_USAGE: exitCodes.usage,
  LICD_BAD_CONFIG: exitCodes.usage,
  LICD_NO_SERVER: exitCodes.unreachable,
  LICD_NO_LEADER: exitCodes.unreachable,
  LICD_TIMEOUT: exitCodes.unreachable,
  LICD_NATS_UNREACHABLE: exitCodes.unreachable,
  LICD_NATS_REFUSED: exitCodes.unreachable,
  LICD_NATS_MISSING: exitCodes.unreachable,
  LICD_UNKNOWN_OUTCOME: exitCodes.unknown,
  LICD_NOT_INITIALISED: exitCodes.data,
  LICD_ALREADY_INITIALISED: exitCodes.data,
  LICD_WRONG_POOL: exitCodes.data,
  LICD_DUPLICATE_SERVER: exitCodes.data,
  LICD_DATA_LOCKED: exitCodes.data,
  LICD_DATA_DAMAGED: exitCodes.data,
  LICD_STORAGE: exitCodes.data,
  LICD_OLD_EPOCH: exitCodes.data,
  LICD_INTERNAL: exitCodes.defect,
  LICD_NO_SEAT: exitCodes.noSeat,
  LICD_TOO_MANY_WAITING: exitCodes.noSeat,
  LICD_TOO_MANY_SEATS: exitCodes.noSeat,
  LICD_NOT_SERVING: exitCodes.noSeat,
  LICD_NO_LEASE: exitCodes.noSeat,
  LICD_OVER_LIMIT: exitCodes.noSeat,
  LICD_SEAT_LOST: exitCodes.seatLost,
}

export function exitCodeOf(code: Code): number {
  return byCode[code] ?? exitCodes.refused
}

/** The table as `--help` shows it. */
export const exitCodeHelp = [
  'Exit codes:',
  '   0  done',
  '   1  refused or failed; standard error has one line: licd: CODE: message',
  '   2  the command line, the environment or the configuration file is wrong',
  '   3  no NATS server, license server or leader answers',
  '   4  whether the change took effect is not known; repeat it with the --id shown',
  '   5  the data folder is missing, taken, foreign or damaged, or its disk failed',
  '  70  a defect in licd',
  '  75  run: no seat was free in the time allowed',
  '  76  run: the seat was lost and the command was ended',
  ' 126  run: the command cannot be executed      127  run: it is not found',
  ' 128+n  run: signal n ended the command; else its own exit code is passed on',
].join('\n')
