/** What answers operators at a server, and is asked to do what they want. */
import type { Bus, Clock, Logger } from '../../raft/ports.ts'
import type { Command, CommandBody } from '../ledger/command.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Judge } from '../ledger/outcome.ts'
import type { CtlAnswers } from '../protocol/ctl.ts'
import type { Subjects } from '../protocol/subject.ts'
import type { AccountHolder } from './account-holder.ts'
import type { Backups } from './backup.ts'
import type { Doors } from './ctl-admission.ts'
import type { Fields } from './ctl-request.ts'
import type { Answer } from './ctl-wire.ts'
import type { KeyHolder } from './key-holder.ts'
import type { Membership } from './membership.ts'
import type { Outcome } from './parts.ts'

export interface CtlOptions {
  readonly server: string
  readonly subjects: Subjects
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly ledger: () => Ledger
  readonly leader: () => string | undefined
  readonly status: (fields: Fields) => Answer
  readonly why: (fields: Fields) => Answer
  readonly seats: (fields: Fields) => Answer
  readonly barrier: (done: (caughtUp: boolean) => void) => void
  /** Whether this server has applied a tick of late: a deadline counted from here is what it says. */
  readonly isCurrent: () => boolean
  readonly submit: (
    command: Pick<Command, 'id' | 'by' | 'key' | 'since'> & { readonly deadlineTicks: number },
    body: CommandBody,
    done: (outcome: Outcome) => void,
  ) => void
  /** See `Submitter.withdraw`. */
  readonly withdraw: (id: string) => boolean
  /** For commands that no operator gave an id. */
  readonly freshId: () => string
  readonly transfer: (to: string | undefined, done: (problem: string | undefined) => void) => void
  readonly judge: Judge
  readonly membership: Pick<Membership, 'judge'>
  readonly members: () => CtlAnswers['servers']
  readonly backups: Pick<Backups, 'open' | 'read'>
  readonly doors: Doors
  readonly accounts: Pick<AccountHolder, 'answer' | 'judge' | 'push'>
  readonly keys: Pick<KeyHolder, 'look' | 'keys'>
}
