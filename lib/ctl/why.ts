/**
 * Why a feature is granted or not: what every server that answers says of itself, put side by side.
 *
 * Books and denials live at each server alone, so all are asked at once and for a short time. A server that does not
 * answer is named, with what the ledger last heard of it and how long ago.
 */
import { LicdError } from '../error.ts'
import type { CtlAnswers, FeatureStatus, PoolStatus, ServerStatus } from '../protocol/ctl.ts'
import type { Dark, Denial, Standing, TurnedAway } from '../protocol/why.ts'
import type { CtlClient } from './ctl-client.ts'
import { readStatus } from './pages.ts'
import { freshest, scatter } from './pool-view.ts'

type Answer = CtlAnswers['why']

export interface WhyServer {
  readonly name: string
  readonly answered: boolean
  /** `unknown` of one that did not answer. */
  readonly role: Answer['role'] | 'unknown'
  /** As the ledger has it where `answeredBy` applied it. */
  readonly state: ServerStatus['state']
  /** How old what is known of it is, milliseconds. */
  readonly ageMs: number
  /** How long it may grant: its own word, or, of one that did not answer, at most. */
  readonly mayGrantMs: number
  /** Its own word. */
  readonly standing?: Standing
  /** As the ledger has it; in use as of the last keepalive where it did not answer. */
  readonly share: number
  readonly inUse: number
  readonly dark: readonly Dark[]
}

export interface ServerDenial extends Denial {
  readonly server: string
}

export interface ServerTurnedAway extends TurnedAway {
  readonly server: string
}

export interface WhyView {
  readonly pool: string
  readonly feature: string
  readonly user?: string
  readonly leader?: string
  /** Whose knowledge of the distribution this is, and how old it is. */
  readonly answeredBy: string
  readonly tickAgeMs: number
  readonly tickMs: number
  /** Absent when the pool has no such feature; `features` then has what there is, and is empty else. */
  readonly status?: FeatureStatus
  readonly features: readonly string[]
  /** What became of a feature that the pool has no more. */
  readonly ended?: string
  readonly servers: readonly WhyServer[]
  /** The latest first. */
  readonly denials: readonly ServerDenial[]
  /** Clients that looked for a server and were told to look elsewhere, whatever they wanted; the latest first. */
  readonly turnedAway: readonly ServerTurnedAway[]
}

/** Asks all servers; one that looks has its `own` word. Throws as `CtlClient.ask`. */
export async function viewWhy(
  client: CtlClient,
  request: { readonly feature: string; readonly user?: string },
  own?: {
    readonly server: string
    readonly status: Omit<PoolStatus, 'features'>
    readonly why: Answer
    readonly features: () => readonly string[]
  },
): Promise<WhyView> {
  const { status, server: first } = own ?? (await readStatus(client, { limit: 0 }))
  const answers = new Map<string, Answer>()
  if (own !== undefined) answers.set(first, own.why)
  const others = status.servers.filter(({ name }) => name !== own?.server)
  await scatter(client, 'why', request, others, ({ server, ...answer }) =>
    answers.set(server, answer),
  )
  const its = answers.get(first)
  if (its === undefined) throw new LicdError('LICD_TIMEOUT', `Server ${first} answers no more.`)
  const answeredBy = client.server ?? freshest(first, answers)
  const best = answers.get(answeredBy) ?? its
  const { leader, tickAgeMs, tickMs, feature, ended } = best
  const isUnknown = feature === undefined && ended === undefined
  const features = isUnknown ? (own?.features() ?? (await namesOf(client, answeredBy))) : []
  return {
    pool: status.pool,
    ...request,
    ...(leader === undefined ? {} : { leader }),
    ...{ answeredBy, tickAgeMs, tickMs },
    ...(feature === undefined ? {} : { status: feature }),
    features,
    ...(ended === undefined ? {} : { ended }),
    servers: status.servers.map(server => whyServer(server, status, answers, best)),
    denials: [...answers]
      .flatMap(([server, { denials }]) => denials.map(denial => ({ server, ...denial })))
      .sort((a, b) => a.agoMs - b.agoMs),
    turnedAway: [...answers]
      .flatMap(([server, { turnedAway }]) =>
        turnedAway === undefined ? [] : [{ server, ...turnedAway }],
      )
      .sort((a, b) => a.agoMs - b.agoMs),
  }
}

async function namesOf(client: CtlClient, server: string): Promise<string[]> {
  const { status } = await readStatus(client, {}, { server })
  return status.features.map(({ name }) => name)
}

function whyServer(
  { name, state, listedTicksAgo, downInTicks }: ServerStatus,
  { tickAgeMs, settings }: Pick<PoolStatus, 'tickAgeMs' | 'settings'>,
  answers: ReadonlyMap<string, Answer>,
  best: Answer,
): WhyServer {
  const answer = answers.get(name)
  const share = best.feature?.shares.find(({ server }) => server === name)
  const common = { name, state, share: share?.share ?? 0 }
  if (answer === undefined) {
    return {
      ...common,
      answered: false,
      role: 'unknown',
      ageMs: listedTicksAgo * settings.tickMs + tickAgeMs,
      mayGrantMs: downInTicks * settings.tickMs,
      inUse: Math.min(share?.inUse ?? 0, share?.share ?? 0),
      dark: (best.feature?.dark ?? []).filter(({ server }) => server === name),
    }
  }
  const { role, leaseLeftMs, standing, feature } = answer
  return {
    ...common,
    answered: true,
    role,
    ageMs: answer.tickAgeMs,
    mayGrantMs: leaseLeftMs,
    ...(standing === undefined ? {} : { standing }),
    inUse: standing?.inUse ?? 0,
    dark: (feature?.dark ?? []).filter(({ server }) => server === name),
  }
}
