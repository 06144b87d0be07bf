/**
 * The answer to a client that looks for a server: who this is, and whether it may serve.
 *
 * One that may not says why, so that a client that finds no other can tell its user (R3).
 */
import type { BusMessage } from '../../raft/ports.ts'
import { decodeFind, encodeFound, type Decoded } from '../protocol/seat-codec.ts'
import type { Desk } from './desk.ts'
import { whyNotServing } from './lease-reason.ts'
import { isJson } from './wire.ts'

/** Answers at `reply`; what could not be read is given to `malformed`. */
export function answerFind(
  desk: Desk,
  message: BusMessage,
  reply: string,
  malformed: (request: Decoded<unknown>) => void,
): void {
  const { pool, server, incarnation, ledger, clientBus } = desk.host
  const reason = whyNotServing(desk, desk.now)
  const serving = reason === undefined
  const { fingerprint } = ledger.state
  const found = {
    ...{ pool, fingerprint, server, incarnation, serving },
    ...(reason === undefined ? {} : { reason }),
  }
  const turnAway = (): void => {
    if (reason !== undefined) desk.turnedAway.note(reason, desk.now)
  }
  if (isJson(message)) {
    turnAway()
    clientBus.publish(reply, Buffer.from(JSON.stringify(found)))
    return
  }
  const request = decodeFind(message.data)
  if (!request.ok) {
    malformed(request)
    return
  }
  turnAway()
  clientBus.publish(reply, encodeFound(request.batch, found))
}
