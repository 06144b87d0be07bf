/**
 * What befalls the servers of a simulated world: schemes that lead, more often than chance would, to where consensus
 * goes wrong.
 *
 * None knows of a bug. Each makes one kind of history: leaders that last for a few messages, candidates by the dozen,
 * a server that comes back from far behind, links that fail one by one.
 */
import type { Effects } from '../../raft/core/effect.ts'
import type { SimServer } from './raft-server.ts'
import { electionTimeoutMs, type Scheme, shuffled } from './raft-swarm.ts'
import type { RaftWorld } from './raft-world.ts'

export class Nemesis {
  private readonly world: RaftWorld
  /** Links that carry nothing, as `from>to`. */
  private readonly cut = new Set<string>()
  private scheme: Scheme = 'misfortunes'
  /** Nothing of an earlier act goes on in a later one. */
  private act = 0
  isOver = false

  constructor(world: RaftWorld) {
    this.world = world
  }

  isCut(from: string, to: string): boolean {
    return this.cut.has(`${from}>${to}`)
  }

  /** In a crowd, questions and answers of elections take their time, and who answers may forget. */
  get isCrowd(): boolean {
    return this.scheme === 'crowds' && !this.isOver
  }

  /** Lets schemes follow one another, until `ms` have passed. */
  rage(ms: number): void {
    const { time, random, swarm } = this.world
    const end = time.now + ms
    while (time.now < end) {
      this.scheme = random.pick(swarm.schemes)
      this.act += 1
      this.begin(this.scheme)
      time.run(Math.min(end - time.now, 100 + random.next() * 500), this.world.count)
      if (random.chance(0.5)) this.cut.clear()
      for (const server of this.world.servers) if (random.chance(0.7)) this.world.boot(server)
    }
    this.isOver = true
    this.act += 1
    this.cut.clear()
  }

  private begin(scheme: Scheme): void {
    switch (scheme) {
      case 'misfortunes':
        return this.every(60, () => this.misfortune())
      case 'hops':
        return this.hop()
      case 'relay':
        return this.relay(0)
      case 'crowds':
        return this.every(100, () => this.crowd())
      case 'returns':
        return this.every(400, () => this.sendAway())
      case 'swizzle':
        return this.swizzle()
      case 'churn':
        return this.every(30, () => this.churn())
      case 'decay':
        return this.every(80, () => this.world.damage(this.anyone()))
      case 'bounces':
        return this.every(8, () => this.bounce(this.anyone()))
    }
  }

  /** Again and again while this act lasts, after pauses of `ms` in the mean. */
  private every(ms: number, run: () => void): void {
    run()
    this.later(this.world.random.next() * 2 * ms, () => this.every(ms, run))
  }

  private later(ms: number, run: () => void): void {
    const { act } = this
    this.world.time.after(ms, () => {
      if (this.act === act) run()
    })
  }

  private anyone(): SimServer {
    const { random, servers } = this.world
    const leader = this.leader()
    return leader !== undefined && random.chance(0.4) ? leader : random.pick(servers)
  }

  /** Of the latest term. */
  private leader(): SimServer | undefined {
    return this.world.servers
      .filter(({ raft }) => raft?.role === 'leader')
      .sort((a, b) => (b.raft?.currentTerm ?? 0) - (a.raft?.currentTerm ?? 0))[0]
  }

  /** What happens to clusters anyway. */
  private misfortune(): void {
    const { random, servers, time } = this.world
    const server = this.anyone()
    const other = random.pick(servers)
    const kinds: readonly (() => void)[] = [
      () => this.crash(server, random.next() * 400),
      () => this.bounce(server),
      () => this.isolate(servers.filter(() => random.chance(0.4))),
      () => this.isolate([server]),
      // With one companion: what it appends reaches a minority.
      () => this.isolate([server, other]),
      () => void this.cut.add(`${server.id}>${other.id}`),
      () => this.deafen(server),
      () => (server.slowDisk = !server.slowDisk),
      () => (server.hangsUntil = time.now + random.next() * 8 * electionTimeoutMs),
      () => (server.pausedUntil = time.now + random.next() * 250),
      () => server.step({ type: 'unreachable', peer: other.id }),
      () => this.tellGone([server]),
      () => server.step({ type: 'stepDown' }),
      () => this.world.damage(server),
      () => this.cut.clear(),
    ]
    random.pick(kinds)()
  }

  /**
   * Leaders that last for a few messages: the servers are parted anew, at random, as soon as some part has a leader,
   * and each part is told who is no longer there. Logs as in Figures 7 and 8 of the paper come of it.
   */
  private hop(): void {
    const { random, servers, time } = this.world
    const parts = random.chance(0.7) ? 2 : 3
    const partOf = new Map(servers.map(server => [server, random.between(1, parts)]))
    this.cut.clear()
    for (const server of servers) {
      for (const other of servers) {
        if (partOf.get(server) !== partOf.get(other)) this.cut.add(`${server.id}>${other.id}`)
      }
      if (server.raft === undefined && random.chance(0.7)) this.world.boot(server)
    }
    for (const server of servers) {
      const leader = servers.find(({ id }) => id === server.raft?.leader)
      if (leader === undefined || leader === server) continue
      if (partOf.get(leader) !== partOf.get(server)) {
        server.step({ type: 'unreachable', peer: leader.id })
      }
    }
    const elections = this.world.checks.elections
    const end = time.now + electionTimeoutMs * (0.3 + 2 * random.next())
    const look = (): void => {
      const isElected = this.world.checks.elections > elections
      if (!isElected && time.now < end) return this.later(2, look)
      this.later(random.next() * random.pick([4, 15, 40]), () => this.hop())
    }
    this.later(2, look)
  }

  /**
   * The newest leader, and it alone, perhaps with a companion, is cut off as soon as it has appended something: each
   * next one is elected by those whom the last ones did not reach, and those come back with what they hold.
   */
  private relay(term: number): void {
    const { random, servers, clients } = this.world
    const leader = this.leader()
    const newest = leader?.raft?.currentTerm ?? 0
    if (leader === undefined || newest <= term) return this.later(3, () => this.relay(term))
    clients.crowdAt(leader)
    this.later(random.next() * random.pick([3, 10, 25]), () => {
      const companions = servers.filter(server => server !== leader && random.chance(0.2))
      this.isolate([leader, ...companions])
      this.tellGone([leader])
      this.later(3, () => this.relay(newest))
    })
  }

  /**
   * Two that do not hear each other campaign at once; the leader may be one of those whom they ask. Meanwhile (see
   * `isCrowd`) what is asked and answered takes its time, and voters restart.
   */
  private crowd(): void {
    const { random, clients } = this.world
    this.cut.clear()
    // With logs that are level, nobody has to vote against anybody.
    clients.rest(60)
    this.later(40 * random.next(), () => this.campaign())
  }

  private campaign(): void {
    const { random, servers } = this.world
    const leader = this.leader()
    const [one, other] = shuffled(random, servers).filter(
      server => server !== leader || random.chance(0.2),
    )
    if (one === undefined || other === undefined || leader === undefined) return
    this.cut.add(`${one.id}>${other.id}`)
    this.cut.add(`${other.id}>${one.id}`)
    if (random.chance(0.7)) this.bounce(leader)
    this.hint()
    this.later(random.next() * 80, () => this.hint())
  }

  /** Everybody is told that its leader is gone. */
  private hint(): void {
    for (const server of shuffled(this.world.random, this.world.servers)) {
      const leader = server.raft?.leader
      if (leader !== undefined) server.step({ type: 'unreachable', peer: leader })
    }
  }

  /** One server, the leader perhaps, is cut off for long while its clients go on; then it comes back. */
  private sendAway(): void {
    const { random } = this.world
    const server = this.anyone()
    this.isolate([server])
    this.world.clients.crowdAt(server)
    this.later(electionTimeoutMs * (0.2 + 3 * random.next()), () => {
      this.cut.clear()
      if (random.chance(0.3)) this.bounce(server)
    })
  }

  /** The links of some servers fail one by one, and come back in another order (FoundationDB). */
  private swizzle(): void {
    const { random, servers } = this.world
    const some = servers.filter(() => random.chance(0.6))
    const links = some.flatMap(({ id }) =>
      servers.flatMap(other => [`${id}>${other.id}`, `${other.id}>${id}`]),
    )
    let at = 0
    for (const link of shuffled(random, links)) {
      at += random.next() * 20
      this.later(at, () => this.cut.add(link))
    }
    for (const link of shuffled(random, links)) {
      at += random.next() * 20
      this.later(at, () => this.cut.delete(link))
    }
    this.later(at, () => this.swizzle())
  }

  /** Leadership goes round: handed over, given up, taken away. */
  private churn(): void {
    const { random, servers } = this.world
    const leader = this.leader()
    if (leader === undefined) return
    const kinds: readonly (() => void)[] = [
      () => leader.step({ type: 'stepDown' }),
      () => this.world.clients.transfer(leader),
      () => this.tellGone([leader]),
      () => leader.step({ type: 'stalled', ms: electionTimeoutMs }),
      () => this.bounce(leader),
      () => this.bounce(random.pick(servers)),
      () => this.world.damage(random.pick(servers)),
    ]
    random.pick(kinds)()
  }

  /** The worst moments for a leader to be cut off: when it was just elected, or has just committed something. */
  strike(server: SimServer, effects: Effects): void {
    const { random, swarm, time, servers } = this.world
    if (this.isOver || !random.chance(swarm.strikeRate)) return
    const leads = server.raft?.role === 'leader'
    const isElected = leads && effects.persist?.entries[0]?.kind === 'noop'
    const isChanging = effects.configuration !== undefined
    const isCommitting = effects.apply.length > 0
    if (!isElected && !(leads && (isCommitting || isChanging))) return
    const companions = servers.filter(() => random.chance(isCommitting ? 0 : 0.3))
    time.after(isCommitting ? 0 : random.next() * 12, () => {
      if (!this.isOver) this.isolate([server, ...companions])
    })
  }

  /** Crashes and starts again at once; the others may have noticed. */
  bounce(server: SimServer): void {
    if (server.raft === undefined) return
    server.crash()
    this.world.boot(server)
    if (this.world.random.chance(0.5)) this.tellGone([server])
  }

  private crash(server: SimServer, ms: number): void {
    server.crash()
    this.world.time.after(ms, () => this.world.boot(server))
  }

  private tellGone(group: readonly SimServer[]): void {
    for (const server of this.world.servers) {
      if (group.includes(server)) continue
      for (const { id } of group) server.step({ type: 'unreachable', peer: id })
    }
  }

  /** No message passes between these and the others, who may be told so: then they elect at once. */
  private isolate(group: readonly SimServer[]): void {
    this.cut.clear()
    if (this.world.random.chance(0.5)) this.tellGone(group)
    for (const { id: from } of group) {
      for (const other of this.world.servers) {
        if (group.includes(other)) continue
        this.cut.add(`${from}>${other.id}`)
        this.cut.add(`${other.id}>${from}`)
      }
    }
  }

  /** What one sends to the other does not arrive. */
  part(from: SimServer, to: SimServer): void {
    this.cut.add(`${from.id}>${to.id}`)
  }

  /** Sends, but hears nobody. */
  deafen({ id }: SimServer): void {
    for (const other of this.world.servers) this.cut.add(`${other.id}>${id}`)
  }

  /** Neither sends nor hears. */
  remove(server: SimServer): void {
    this.deafen(server)
    for (const other of this.world.servers) this.cut.add(`${server.id}>${other.id}`)
  }

  mend(): void {
    this.cut.clear()
  }
}
