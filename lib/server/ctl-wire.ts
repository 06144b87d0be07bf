/**
 * Operators' requests and answers as bytes: msgpack maps, or JSON where the request says so.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import { bounds } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import { ctlBounds, type CtlAnswers } from '../protocol/ctl.ts'
import { busy, isFields, refuse, type Fields, type Refusal } from './ctl-request.ts'
import type { Outcome } from './parts.ts'

export type Answer =
  | (Refusal & { readonly ok: false })
  | { readonly ok: true; readonly data: object; readonly shorter?: Shorter }

/** An answer of `rows` rows that may be made of fewer of them. */
export interface Shorter {
  readonly rows: number
  readonly first: (rows: number) => object
}

const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' })

/** `undefined` for what is no map. No bytes at all are an empty one. */
export function decodeRequest(data: Uint8Array, isJson: boolean): Fields | undefined {
  const asked = decodeAsked(data, isJson)
  return isFields(asked) ? asked : undefined
}

/** A request, or a list of them where it is no JSON; `undefined` for what is neither. */
export function decodeAsked(
  data: Uint8Array,
  isJson: boolean,
): Fields | readonly Fields[] | undefined {
  if (data.length === 0) return {}
  const value = isJson ? parse(data) : unpackPlain(packr, data)
  if (isFields(value)) return value
  return isJson ? undefined : readList(value)
}

/** `undefined` for what is no list of requests, or too long a one. */
function readList(value: unknown): readonly Fields[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined
  const list: readonly unknown[] = value
  return list.length <= ctlBounds.changesAtOnce && list.every(isFields) ? list : undefined
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data))
  } catch {
    return undefined
  }
}

export function encodeAnswer(answer: Answer, server: string, isJson: boolean): Uint8Array {
  const body = bodyOf(answer, server)
  return isJson ? new TextEncoder().encode(JSON.stringify(body)) : packr.pack(body)
}

/** At most `bytesMax`: of as many rows as that takes, where the answer may have fewer; LICD_TOO_LARGE where it may not. */
export function encodeFitting(
  answer: Answer,
  server: string,
  { isJson, bytesMax }: { readonly isJson: boolean; readonly bytesMax: number },
): Uint8Array {
  let data = encodeAnswer(answer, server, isJson)
  const shorter = answer.ok ? answer.shorter : undefined
  let rows = shorter?.rows ?? 0
  while (data.length > bytesMax) {
    if (shorter === undefined || rows <= 1) {
      const detail = `The answer: ${data.length} bytes. Ask for it in pages: see limit, or a newer licd.`
      return encodeAnswer(refuse('LICD_TOO_LARGE', detail), server, isJson)
    }
    // Rows differ in size: a little less than their mean says.
    rows = Math.max(1, Math.min(rows - 1, Math.floor((0.9 * rows * bytesMax) / data.length)))
    data = encodeAnswer({ ok: true, data: shorter.first(rows) }, server, isJson)
  }
  return data
}

/** Answers to the requests of one list: each with its place there. */
export function encodeAnswers(
  answers: readonly (readonly [place: number, answer: Answer])[],
  server: string,
): Uint8Array {
  return packr.pack(answers.map(([place, answer]) => [place, bodyOf(answer, server)]))
}

function bodyOf(answer: Answer, server: string): object {
  return answer.ok ? { ok: true, server, ...answer.data } : { ...answer, server }
}

export function answerWith<Operation extends keyof CtlAnswers>(
  _operation: Operation,
  data: CtlAnswers[Operation],
): Answer {
  return { ok: true, data }
}

/** What became of a change, and `extra` when it was made. */
export function answerTo(outcome: Outcome, extra: object, state: LedgerState): Answer {
  switch (outcome.type) {
    case 'applied': {
      const { result, duplicate } = outcome
      if (!result.ok && result.code === 'LICD_TOO_BUSY') return busy('', roomInMs(state))
      if (!result.ok) return refuse(result.code, result.detail ?? '')
      return { ok: true, data: { revision: result.revision, duplicate, ...extra } }
    }
    case 'expired':
      return refuse('LICD_UNKNOWN_OUTCOME', 'It came too late; another copy of it may not.')
    case 'unknown':
      return refuse('LICD_UNKNOWN_OUTCOME', 'The server stopped while it was under way.')
    case 'rejected':
      return busy('The server has as many commands under way as it may.')
  }
}

export function transferRefusal(problem: string): Answer {
  if (problem === 'no-target') return refuse('LICD_NO_TARGET', 'The leader stays.')
  if (problem === 'busy') return busy('The office is being handed over already.')
  if (problem === 'not-leader') return refuse('LICD_NO_LEADER', 'The leader is just changing.')
  return refuse('LICD_UNKNOWN_OUTCOME', `${problem}.`)
}

/**
 * When the ledger may forget the first of the results that it keeps (R8), about: they are in the order of their coming.
 * From level 3 on that is once its command has ended, so what is in the way are the commands of the last ticks.
 */
function roomInMs({ results, tick, settings, level, forgettableFrom }: LedgerState): number {
  const [first] = results.values()
  const { forgetAt = tick } = first ?? {}
  const endedAt = forgetAt - bounds.resultTicks - 1
  const roomAt = level < 3 || endedAt < forgettableFrom ? forgetAt : endedAt + 1
  return Math.max(1, roomAt - tick) * settings.tickMs
}
