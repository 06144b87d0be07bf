/**
 * After the storm: what a cluster owes its users when faults end, whatever happened before.
 *
 * It settles by itself, serves, and goes on under the same leader, though one server may still be cut off, or hear
 * nobody and ask for votes. Then that one comes back, and disturbs nobody but by a later term from before. Then the leader hears nobody any more, and
 * another takes over; and one goes in the middle of a change of members.
 */
import assert from 'node:assert/strict'
import { type ConfigurationChange, isMember, isVoter } from '../../raft/core/configuration.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { SimServer } from './raft-server.ts'
import { electionTimeoutMs, latestMs } from './raft-swarm.ts'
import type { RaftWorld } from './raft-world.ts'

/** What it may take: so many elections, and what every entry takes that is not everywhere yet, one by one at worst. */
function limitOf({ servers, swarm }: RaftWorld): number {
  const lasts = servers.map(({ raft }) => raft?.lastIndex ?? 0)
  const owed = Math.max(...lasts) - Math.min(...servers.map(({ applied }) => applied.index))
  return 30 * electionTimeoutMs + owed * (15 + 3 * swarm.diskMs)
}

export function calm(world: RaftWorld): void {
  const { random, nemesis, clients, servers } = world
  nemesis.mend()
  for (const server of servers) {
    server.pausedUntil = 0
    server.slowDisk = false
    world.boot(server)
  }
  clients.beQuiet()
  const outcast = random.chance(0.5) ? chosen(world) : undefined
  if (outcast !== undefined && random.chance(0.5)) nemesis.deafen(outcast)
  else if (outcast !== undefined) nemesis.remove(outcast)
  settle(world, outcast)
  serve(world, outcast)
  // A hand-over that the leader has given up may still be on its way, and is then carried out (thesis 3.10).
  world.time.run(latestMs, world.count)
  const leads = (): boolean => clients.leader(outcast?.id) !== undefined
  assert(
    world.time.runUntil(leads, limitOf(world), world.count),
    `liveness: nobody leads: ${world.describe()}`,
  )
  const { leader, term } = reign(world, outcast)
  stays(world, outcast, 'while one hears nobody')
  // One that was cut off in the middle of an election brings a later term along, and whoever hears of it steps down (5.1).
  const isAhead = (outcast?.raft?.currentTerm ?? 0) > term
  nemesis.mend()
  settle(world, undefined)
  assert(
    world.time.runUntil(() => isTrusted(world), limitOf(world), world.count),
    `liveness: a damaged server is not taught: ${world.describe()}`,
  )
  // Whoever came back may have ended a term while the damaged were taught.
  settle(world, undefined)
  const now = reign(world, undefined)
  if (!isAhead) assert.deepEqual(now, { leader, term }, 'one that comes back disturbs nobody')
  if (canSpare(world, world.find(now.leader))) usurp(world, now.leader)
  if (world.swarm.membership) loseInChange(world, reign(world, undefined).leader)
}

/** The leader goes on sending, but hears nobody. */
function usurp(world: RaftWorld, leader: string): void {
  const old = world.find(leader)
  assert(old !== undefined)
  world.nemesis.deafen(old)
  settle(world, old)
  serve(world, old)
  assert.notEqual(reign(world, old).leader, leader)
  world.nemesis.mend()
  settle(world, undefined)
}

/**
 * The leader is gone in the middle of a change that it began: whoever has heard of it and whoever has not must find to
 * each other, newcomers that were asked to vote before they knew that they may among them (6).
 */
function loseInChange(world: RaftWorld, leader: string): void {
  const { time, clients, count, random } = world
  const old = world.find(leader)
  const { voters = [] } = old?.raft?.configuration ?? {}
  const isSound = voters.every(id => world.find(id)?.disk.trust.kind === 'full')
  const newcomer = voters.length < 3 || !isSound ? undefined : world.addServer()
  if (old === undefined || newcomer === undefined) return
  const { id } = newcomer
  const change = (to: ConfigurationChange, isDone: (raft: Raft) => boolean): boolean => {
    const end = time.now + limitOf(world)
    while (time.now < end && old.raft?.role === 'leader' && !isDone(old.raft)) {
      clients.change(old, to)
      if (!isDone(old.raft)) time.run(electionTimeoutMs / 4, count)
    }
    return old.raft?.role === 'leader'
  }
  if (!change({ learners: [id] }, ({ configuration }) => isMember(configuration, id))) return
  settle(world, undefined)
  // Perhaps the newcomer is the last to hear of it.
  if (random.chance(0.6)) world.nemesis.part(old, newcomer)
  if (!change({ voters: [id] }, ({ configuration }) => isVoter(configuration, id))) return
  time.run(random.next() * 8, count)
  world.nemesis.remove(old)
  settle(world, old)
  serve(world, old)
  world.nemesis.mend()
  settle(world, undefined)
}

/** One without which the others are still a majority: the leader if there is one. */
function chosen(world: RaftWorld): SimServer | undefined {
  const { servers, random } = world
  const server = servers.find(({ raft }) => raft?.role === 'leader') ?? random.pick(servers)
  return canSpare(world, server) ? server : undefined
}

function canSpare(world: RaftWorld, server: SimServer | undefined): boolean {
  const { servers, wiped } = world
  const configurations = servers.flatMap(({ raft }) => (raft ? [raft.configuration] : []))
  const isSmall = ({ voters, outgoing }: Raft['configuration']) =>
    voters.length < 3 || (outgoing.length > 0 && outgoing.length < 3)
  if (server === undefined || configurations.some(isSmall)) return false
  // One that has no vote is as good as cut off.
  const isDoubtful = servers.some(({ disk, id }) => disk.trust.kind !== 'full' && id !== server.id)
  return wiped === undefined && !isDoubtful
}

function settle(world: RaftWorld, outcast: SimServer | undefined): void {
  const { time, clients, count } = world
  clients.beQuiet()
  const isSettled = time.runUntil(() => clients.hasSettled(outcast?.id), limitOf(world), count)
  assert(isSettled, `liveness: a quiet cluster does not settle: ${world.describe()}`)
}

function serve(world: RaftWorld, outcast: SimServer | undefined): void {
  const { time, clients, count } = world
  clients.proposeAgain()
  const isServed = time.runUntil(() => clients.isServed(outcast?.id), limitOf(world), count)
  assert(isServed, `liveness: nothing is committed everywhere: ${world.describe()}`)
}

function reign(world: RaftWorld, outcast: SimServer | undefined): { leader: string; term: number } {
  const leader = world.clients.leader(outcast?.id)
  assert(leader !== undefined, world.describe())
  return { leader: leader.id, term: leader.currentTerm }
}

function stays(world: RaftWorld, outcast: SimServer | undefined, when: string): void {
  const before = reign(world, outcast)
  world.time.run(6 * electionTimeoutMs, world.count)
  const after = world.clients.leader(outcast?.id)
  assert.deepEqual(
    { leader: after?.id, term: after?.currentTerm },
    before,
    `a leader that is heard is not replaced ${when}: ${world.describe()}`,
  )
}

function isTrusted({ servers, wiped, swarm }: RaftWorld): boolean {
  // Newcomers are trusted when they are made voters, which nobody may do.
  if (swarm.membership) return true
  return servers.every(({ raft, id }) => id === wiped || raft?.trust.kind === 'full')
}
