/**
 * The audit log: what operators did, or tried, in the order of the log. Part of the ledger, so every server has it.
 *
 * Each operators' command that reached the log makes one record, refused ones too; a repetition makes none, for it does
 * nothing. Bounded: the last `bounds.audit` are kept, and the numbers of records show what is gone. Of a flood of
 * commands it keeps the end, so whoever needs all of it exports it as it grows.
 */
import { bounds } from './command.ts'
import type { Command, CommandBody, Result } from './command.ts'
import type { Changes } from './changes.ts'
import type { AuditRecord, LedgerState } from './state.ts'

const detailMax = 256

/** Makes the record of a command that was applied, if it is one of an operator's. */
export function audit(
  state: LedgerState,
  changes: Changes,
  { command, result }: { readonly command: Command; readonly result: Result },
): void {
  if (state.level < 2) return
  const told = tell(command.body)
  if (told === undefined) return
  const { action = command.body.type, subject, detail } = told
  state.audited += 1
  const record: AuditRecord = Object.freeze({
    seq: state.audited,
    tick: state.tick,
    at: state.calendar,
    id: command.id,
    by: command.by,
    ...(command.key === undefined ? {} : { key: command.key }),
    action,
    ...(subject === undefined ? {} : { subject: cut(subject) }),
    ...(detail === undefined ? {} : { detail: cut(detail) }),
    outcome: result.ok ? 'ok' : result.code,
  })
  changes.audited(record)
  state.audit.push(record)
  if (state.audit.length <= bounds.audit) return
  // `splice` would move all that is left, 57 us of it.
  const oldest = state.audit.shift()
  if (oldest !== undefined) changes.auditDropped(oldest)
}

function cut(text: string): string {
  return text.length <= detailMax ? text : `${text.slice(0, detailMax - 1)}\u2026`
}

interface Told {
  readonly action?: string
  readonly subject?: string
  readonly detail?: string
}

/** `undefined` for what servers do of their own accord. */
function tell(body: CommandBody): Told | undefined {
  switch (body.type) {
    case 'genesis':
      return { subject: body.pool, detail: `servers ${body.servers.join(' ')}` }
    case 'recover':
      return { detail: `servers ${body.servers.join(' ')}` }
    case 'add-vendor': {
      const { vendor, sameAs } = body
      const detail = sameAs === undefined ? vendor.name : `${vendor.name}, same as ${sameAs}`
      return { subject: vendor.kid, detail }
    }
    case 'revoke-vendor':
      return { subject: body.kid }
    case 'add-code': {
      const { codeId, allocations, feature, vendor } = body.content
      return { subject: codeId, detail: `${String(allocations)} of ${feature} by ${vendor}` }
    }
    case 'remove-code':
      return { subject: body.codeId }
    case 'add-feature':
      return { subject: body.feature, detail: String(body.allocations) }
    case 'add-allocations':
      return { subject: body.feature, detail: String(body.count) }
    case 'change-criteria': {
      const { feature, targets, thresholds } = body
      return { subject: feature, detail: JSON.stringify({ targets, thresholds }) }
    }
    case 'set-threshold': {
      const { feature, server = 'all servers', threshold } = body
      return { subject: feature, detail: `${String(threshold)} at ${server}` }
    }
    case 'change-settings': {
      const { tickMs, leaseTicks, seatTicks } = body.settings
      return { detail: JSON.stringify({ tickMs, leaseTicks, seatTicks }) }
    }
    case 'add-server':
    case 'set-role':
      return { subject: body.server, detail: body.role }
    case 'set-level':
      return { detail: String(body.level) }
    case 'use-key':
      return { subject: body.kid, detail: `before ${body.before}` }
    case 'revoke-operator':
      return { subject: body.operator }
    case 'note':
      return { action: body.action, detail: body.detail }
    case 'tick':
    case 'hello':
    case 'leave':
    case 'hold-keys':
    case 'borrow':
    case 'demand':
    case 'return':
    case 'lend':
      return undefined
  }
}
