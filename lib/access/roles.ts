/**
 * Who may do what: three roles, told apart by NATS permissions on subjects (README, "Roles").
 *
 * Each user of NATS has an inbox of its own and may listen to no other: answers hold tokens, and who holds a token may
 * release the seat. Users that share one file of credentials share one inbox, and can read each other's answers.
 */
import { subjects } from '../protocol/subject.ts'

export const roles = ['server', 'operator', 'client'] as const
export type Role = (typeof roles)[number]

export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** What a connection's inbox begins with. Names are those of {@link isName}: nothing NATS gives a meaning to. */
export function inboxPrefix(role: Role, name: string): string {
  return `_INBOX.${role}.${name}`
}

/** The subjects that a role needs, and no others. */
export function permissionsOf(pool: string, role: Role, name: string): Permissions {
  const { root } = subjects(pool)
  const inbox = `${inboxPrefix(role, name)}.>`
  switch (role) {
    case 'server':
      return {
        // It answers whoever asks, and passes on what the leader or another server is asked.
        publish: [
          `${root}.raft.>`,
          `${root}.event.>`,
          `${root}.ctl.servers`,
          `${root}.ctl.*.*`,
          '_INBOX.>',
        ],
        subscribe: [`${root}.raft.>`, `${root}.seat.>`, `${root}.ctl.>`, '$SRV.>', inbox],
      }
    case 'operator':
      return { publish: [`${root}.ctl.>`], subscribe: [`${root}.event.>`, inbox] }
    case 'client':
      return { publish: [`${root}.seat.>`], subscribe: [`${root}.event.gone.*`, inbox] }
  }
}
