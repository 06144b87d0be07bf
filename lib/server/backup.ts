/**
 * A snapshot of the ledger on its way to an operator, chunk by chunk.
 *
 * It is the ledger of one moment, read while changes go on (copy on write), each chunk made when it is asked for.
 * One at a time, and one that nobody asks for is given up, for what it keeps back costs memory. A chunk may be asked
 * for twice in a row: its answer may be lost.
 */
import type { Clock, Random, Timer } from '../../raft/ports.ts'
import type { CtlAnswers, SnapshotHeader } from '../protocol/ctl.ts'
import { busy, refuse, type Fields } from './ctl-request.ts'
import { answerWith, type Answer } from './ctl-wire.ts'

const idleMs = 30_000

export interface BackupsOptions {
  readonly clock: Clock
  readonly random: Random
  /** The ledger as applied now, and its rows in slices. */
  readonly open: () => { header: SnapshotHeader; slices: Iterator<Uint8Array> }
}

interface Session {
  readonly id: string
  readonly slices: Iterator<Uint8Array>
  /** Number and answer of the chunk read last. */
  at: number
  last: CtlAnswers['snapshot-read']
  timer: Timer
}

export class Backups {
  readonly #options: BackupsOptions
  #session: Session | undefined
  /** The one that was read to its end. */
  #finished: string | undefined

  constructor(options: BackupsOptions) {
    this.#options = options
  }

  /** `caughtUp`: all that was committed is applied here. Only then a snapshot holds what was acknowledged. */
  open(caughtUp: boolean, done: (answer: Answer) => void): void {
    if (!caughtUp) {
      return done(refuse('LICD_NO_LEADER', 'Whether this server knows the newest cannot be told.'))
    }
    if (this.#session !== undefined) {
      return done(busy('A snapshot is being saved from this server already.'))
    }
    const { random } = this.#options
    const { header, slices } = this.#options.open()
    const session = random.id()
    this.#session = { id: session, slices, at: -1, last: {}, timer: this.#arm() }
    return done(answerWith('snapshot-open', { session, header }))
  }

  read({ session: id, chunk }: Fields, done: (answer: Answer) => void): void {
    if (id === this.#finished && id !== undefined) return done(answerWith('snapshot-read', {}))
    const session = this.#session
    if (session === undefined || session.id !== id) return done(refuse('LICD_SNAPSHOT_GONE', ''))
    if (chunk !== session.at && chunk !== session.at + 1) {
      return done(refuse('LICD_BAD_REQUEST', `Field chunk must be ${session.at + 1}.`))
    }
    session.timer.cancel()
    session.timer = this.#arm()
    if (chunk !== session.at) {
      const next = session.slices.next()
      if (next.done === true) {
        this.#finished = session.id
        this.end()
        return done(answerWith('snapshot-read', {}))
      }
      session.at++
      session.last = { data: Buffer.from(next.value).toString('base64') }
    }
    return done(answerWith('snapshot-read', session.last))
  }

  /** The ledger was replaced, or the server stops. */
  end(): void {
    const session = this.#session
    this.#session = undefined
    session?.timer.cancel()
    session?.slices.return?.()
  }

  #arm(): Timer {
    return this.#options.clock.after(idleMs, () => this.end())
  }
}
