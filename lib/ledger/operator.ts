/** Operators whose keys are trusted no more. Who they are was proven before a command was proposed; this holds for all. */
import { bounds } from './command.ts'
import type { Command, CommandBody } from './command.ts'
import { belowLevel, tooMany } from './code.ts'
import { done, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { revokedRow } from './snapshot.ts'
import type { LedgerState } from './state.ts'

/** A public nkey of a user. */
const keyPattern = /^U[A-Z2-7]{55}$/

export function applyRevokeOperator(
  { state, changes }: Context,
  { operator }: Extract<CommandBody, { type: 'revoke-operator' }>,
): Outcome {
  if (state.level < 2) return belowLevel(2)
  if (!keyPattern.test(operator)) {
    return refuse('LICD_BAD_REQUEST', '`operator` is no key of an operator (U...).')
  }
  if (state.revoked.has(operator)) return done
  if (state.revoked.size >= bounds.revoked) return tooMany('revoked operators', bounds.revoked)
  state.revoked.add(operator)
  changes.added(revokedRow(operator))
  return done
}

/** A command that was under way when its operator was revoked. */
export function refuseRevoked({ revoked }: LedgerState, { key }: Command): Refusal | undefined {
  if (key === undefined || !revoked.has(key)) return undefined
  return refuse('LICD_NOT_OPERATOR', 'The key was revoked.')
}
