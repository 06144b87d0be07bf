/** What operators of a simulated pool do about its servers: which are taken in, promoted, demoted and removed. */
import type { LedgerState } from '../../lib/ledger/state.ts'
import type { PoolOptions } from './pool-options.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface MemberChange {
  readonly operation: 'servers-add' | 'servers-remove' | 'servers-promote' | 'servers-demote'
  readonly fields: { readonly server: string; readonly role?: 'voter' | 'learner' }
}

/** Names of servers that may come, no two alike. */
export function* newcomers(): Generator<string, never> {
  const names = ['zeta', 'eta', 'theta', 'iota', 'kappa', 'lambda', 'mu', 'nu']
  for (let round = 1; ; round++)
    for (const name of names) yield round === 1 ? name : `${name}-${round}`
}

export function drawChange(
  state: LedgerState,
  { habits, servers }: Pick<PoolOptions, 'habits' | 'servers'>,
  random: SeededRandom,
  names: Iterator<string, never>,
): MemberChange | undefined {
  const records = [...state.servers.values()].filter(({ role }) => role !== 'removed')
  const voters = records.filter(({ role }) => role === 'voter')
  const learners = records.filter(({ role }) => role === 'learner')
  const guests = records.filter(({ name }) => !servers.includes(name))
  const others = voters.length > 2 ? (['demote', 'remove', 'remove'] as const) : []
  const kind =
    habits?.members === 'roles'
      ? learners.length > 0
        ? 'promote'
        : 'demote'
      : habits?.members === 'newcomers'
        ? guests.length > random.between(0, 1)
          ? 'remove'
          : 'add'
        : random.pick([
            ...(records.length < 5 ? (['add', 'add'] as const) : []),
            ...(learners.length > 0 ? (['promote', 'promote', 'promote'] as const) : others),
            ...others,
            'none' as const,
          ])
  switch (kind) {
    case 'add': {
      const server = names.next().value
      return {
        operation: 'servers-add',
        fields: {
          server,
          role: random.pick(habits?.members === 'newcomers' ? ['learner'] : ['voter', 'learner']),
        },
      }
    }
    case 'remove': {
      const from = habits?.members === 'newcomers' ? guests : records
      return { operation: 'servers-remove', fields: { server: random.pick(from).name } }
    }
    case 'promote':
      return { operation: 'servers-promote', fields: { server: random.pick(learners).name } }
    case 'demote':
      return { operation: 'servers-demote', fields: { server: random.pick(voters).name } }
    case 'none':
      return undefined
  }
}
