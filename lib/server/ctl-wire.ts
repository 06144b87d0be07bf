/**
 * Operators' requests and answers as bytes: msgpack maps, or JSON where the request says so.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { CtlAnswers } from '../protocol/ctl.ts'
import { busy, isFields, refuse, type Fields, type Refusal } from './ctl-request.ts'
import type { Outcome } from './parts.ts'

export type Answer =
  (Refusal & { readonly ok: false }) | { readonly ok: true; readonly data: object }

const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' })

/** `undefined` for what is no map. No bytes at all are an empty one. */
export function decodeRequest(data: Uint8Array, isJson: boolean): Fields | undefined {
  if (data.length === 0) return {}
  const value = isJson ? parse(data) : unpackPlain(packr, data)
  return isFields(value) ? value : undefined
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data))
  } catch {
    return undefined
  }
}

export function encodeAnswer(answer: Answer, server: string, isJson: boolean): Uint8Array {
  const body = answer.ok ? { ok: true, server, ...answer.data } : { ...answer, server }
  return isJson ? new TextEncoder().encode(JSON.stringify(body)) : packr.pack(body)
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

/** When the ledger forgets the first of the results that it keeps (R8), about: they are in the order of their coming. */
function roomInMs({ results, tick, settings }: LedgerState): number {
  const [first] = results.values()
  return Math.max(1, (first?.forgetAt ?? tick) - tick) * settings.tickMs
}
