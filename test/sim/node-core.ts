/**
 * Who must do without the rest when the faults have ended: a random majority that is whole, and what is wrong with the
 * others.
 */
import type { Configuration } from '../../raft/core/configuration.ts'
import { majority } from '../../raft/core/quorum.ts'
import type { NodeWorld } from './node-world.ts'
import type { SeededRandom } from './seeded-random.ts'

/** `deaf` hears nobody, `mute` is heard by nobody; of one that is `stalled` the disk stands still. */
export type Breakage = 'down' | 'paused' | 'stalled' | 'deaf' | 'mute' | 'cut'

export interface Core {
  readonly members: readonly string[]
  readonly breakage: Breakage
}

export function chooseCore(world: NodeWorld, random: SeededRandom): Core {
  const able = world.servers.filter(({ retired }) => !retired).map(({ id }) => id)
  const configurations = world.checks.configurationsInForce()
  const breakage = random.pick(['down', 'paused', 'stalled', 'deaf', 'mute', 'cut'] as const)
  for (let attempt = 0; attempt < 30; attempt++) {
    const members = able.filter(() => random.chance(0.6))
    if (
      configurations.every(one =>
        isMajority(
          members.filter(id => !world.checks.watch(id).damaged),
          one,
        ),
      )
    )
      return { members, breakage }
  }
  return { members: able, breakage }
}

function isMajority(members: readonly string[], { voters, outgoing }: Configuration): boolean {
  return [voters, outgoing].every(half => {
    const count = half.filter(id => members.includes(id)).length
    return half.length === 0 || count >= majority(half.length)
  })
}
