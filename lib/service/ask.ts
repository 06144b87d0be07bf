/**
 * Servers ask each other whether a seat is held, before it is moved (R6).
 *
 * For honest clients safety does not rest on the answer. It is there against a client that released what it
 * now claims to hold, so silence means: go on. The subject is shared with other questions between servers; what is
 * not about a seat is left to those.
 *
 *   question [1, 'seat', seatId, feature, revision]     revision: of the asker's distribution
 *   answer   [1, 'seat', seatId, held, movedTo | null]  held: 0 no, 1 yes, 2 not known (relearning, or behind the asker)
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { BusMessage } from '../../raft/ports.ts'
import type { Desk } from './desk.ts'

const version = 1
const bytesMax = 512
const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' })
const answers = ['no', 'yes', 'unknown'] as const

export interface Question {
  readonly seatId: string
  readonly feature: string
  readonly revision: number
}

export interface Holding {
  readonly seatId: string
  readonly held: (typeof answers)[number]
  /** Where the answering server saw the seat move to. */
  readonly movedTo?: string
}

export function encodeQuestion({ seatId, feature, revision }: Question): Uint8Array {
  return packr.pack([version, 'seat', seatId, feature, revision])
}

export function decodeQuestion(data: Uint8Array): Question | undefined {
  const [seatId, feature, revision] = decode(data)
  if (typeof seatId !== 'string' || typeof feature !== 'string') return undefined
  if (typeof revision !== 'number') return undefined
  return { seatId, feature, revision }
}

export function encodeHolding({ seatId, held, movedTo }: Holding): Uint8Array {
  return packr.pack([version, 'seat', seatId, answers.indexOf(held), movedTo ?? null])
}

export function decodeHolding(data: Uint8Array): Holding | undefined {
  const [seatId, held, movedTo] = decode(data)
  if (typeof seatId !== 'string' || typeof held !== 'number') return undefined
  const answer = answers[held]
  if (answer === undefined) return undefined
  return { seatId, held: answer, ...(typeof movedTo === 'string' ? { movedTo } : {}) }
}

/** Another server asks whether a seat is held here (R6). */
export function answerQuestion(desk: Desk, { data, reply }: BusMessage): void {
  const question = decodeQuestion(data)
  if (question === undefined || reply === undefined) return
  const { seatId, feature, revision } = question
  const { book } = desk
  const { server, ledger, bus } = desk.host
  desk.advance(desk.now)
  const seat = book.find(seatId)
  const { state } = ledger
  const movedTo = state.moves.get(seatId)?.to
  const knows = !book.isRelearning && state.revision >= revision
  const held =
    seat !== undefined && seat.stock.feature === feature ? 'yes' : knows ? 'no' : 'unknown'
  const elsewhere = movedTo === undefined || movedTo === server ? {} : { movedTo }
  bus.publish(reply, encodeHolding({ seatId, held, ...elsewhere }))
}

function decode(data: Uint8Array): readonly unknown[] {
  if (data.byteLength > bytesMax) return []
  const value = unpackPlain(packr, data)
  const fields: readonly unknown[] = Array.isArray(value) ? value : []
  const [ofVersion, kind, ...rest] = fields
  if (fields.length !== 5) return []
  return ofVersion === version && kind === 'seat' ? rest : []
}
