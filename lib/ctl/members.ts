/**
 * Who belongs to the pool, for operators: the leader's view of it, and waiting until a decision is carried out.
 *
 * A decision (`servers-add`, ...) takes effect once, when its entry is applied; the leader then brings it about. So
 * waiting is only looking: whoever stops waiting changes nothing.
 */
import type { Clock } from '../../raft/ports.ts'
import type { CtlAnswers, Member } from '../protocol/ctl.ts'
import type { CtlClient } from './ctl-client.ts'

const lookEveryMs = 250
const leaderMs = 1_500

export interface MembersView {
  readonly answer: CtlAnswers['servers']
  readonly answeredBy: string
}

/** As the leader sees it, who alone knows how far each one has come; without one, as any server does. */
export async function viewMembers(client: CtlClient): Promise<MembersView> {
  const first = await client.ask('servers', {})
  const { leader, server } = first
  if (leader === undefined || leader === server) return { answer: first, answeredBy: server }
  try {
    const answer = await client.ask('servers', {}, { server: leader, timeoutMs: leaderMs })
    return { answer, answeredBy: leader }
  } catch {
    // It has just gone: what the first one knows is still worth showing.
    return { answer: first, answeredBy: server }
  }
}

/** What a server shall become. */
export type Wanted = 'voter' | 'learner' | 'removed'

export type Settled =
  | { readonly outcome: 'done'; readonly member: Member | undefined; readonly tickMs: number }
  /** Somebody decided otherwise meanwhile. */
  | { readonly outcome: 'superseded'; readonly member: Member }
  | { readonly outcome: 'waiting'; readonly member: Member | undefined; readonly for: string }

/** Looks until `server` is what was decided, or `waitMs` are over. `onWait` is told what it waits for, when that changes. */
export async function awaitMember(
  client: CtlClient,
  clock: Clock,
  options: {
    readonly server: string
    readonly wanted: Wanted
    readonly waitMs: number
    readonly onWait: (text: string) => void
  },
): Promise<Settled> {
  const end = clock.now() + options.waitMs
  let told = ''
  for (;;) {
    const { answer } = await viewMembers(client)
    const settled = look(answer, options.server, options.wanted)
    if (settled.outcome !== 'waiting' || clock.now() >= end) return settled
    // Figures change all the time; what is waited for does not.
    const what = settled.for.replaceAll(/\d+/g, '')
    if (what !== told) options.onWait(settled.for)
    told = what
    await new Promise<void>(resolve => clock.after(lookEveryMs, resolve))
  }
}

function look(answer: CtlAnswers['servers'], server: string, wanted: Wanted): Settled {
  const member = answer.servers.find(({ name }) => name === server)
  const { tickMs } = answer
  if (wanted === 'removed') {
    if (member === undefined || (member.role === 'removed' && member.member === 'none')) {
      return { outcome: 'done', member, tickMs }
    }
  } else if (member?.role === wanted && member.member === wanted) {
    return { outcome: 'done', member, tickMs }
  }
  if (member !== undefined && member.role !== wanted) return { outcome: 'superseded', member }
  return { outcome: 'waiting', member, for: waitsFor(answer, server, member) }
}

function waitsFor(
  { leader }: CtlAnswers['servers'],
  server: string,
  member: Member | undefined,
): string {
  if (leader === undefined) return 'a leader'
  if (member?.role === 'removed') return `${server} to give back what it does not use`
  if (member?.role === 'learner') return `${server} to lose its vote`
  if (member?.reachable !== true) return `${server} to run (licd serve, on its host)`
  if (member.trust === 'relearning') return `${server} to learn its log anew`
  return `${server} to catch up: it lacks ${member.lag ?? 0} entries`
}
