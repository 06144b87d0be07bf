/**
 * What one server answers to `why`: the feature as it knows it, what it may grant, and what it denied lately.
 *
 * All of it is local, so that a server that hears nobody answers too, and says how old its knowledge is.
 */
import type { CtlAnswers } from '../protocol/ctl.ts'
import { isFeatureName } from '../protocol/subject.ts'
import { refuse, type Fields, type Read } from './ctl-request.ts'
import { answerWith, type Answer } from './ctl-wire.ts'
import type { SeatReport } from './parts.ts'
import { featureStatus, type Viewer } from './status.ts'

const userMax = 128

export function whyAnswer(viewer: Viewer, report: SeatReport, fields: Fields): Answer {
  const why = whyOf(viewer, report, fields)
  return why.ok ? answerWith('why', why.value) : why
}

export function whyOf(
  viewer: Viewer,
  report: SeatReport,
  { feature, user }: Fields,
): Read<CtlAnswers['why']> {
  if (typeof feature !== 'string' || !isFeatureName(feature)) {
    return refuse('LICD_BAD_REQUEST', 'Field feature must be the name of a feature.')
  }
  if (user !== undefined && (typeof user !== 'string' || user.length > userMax)) {
    return refuse('LICD_BAD_REQUEST', `Field user must be a text of at most ${userMax} characters.`)
  }
  const { ledger, server, leader } = viewer
  const { state } = ledger
  const found = state.features.get(feature)
  const ended = found === undefined ? report.ended(feature) : undefined
  const turnedAway = report.turnedAway()
  const answer: CtlAnswers['why'] = {
    ...(leader === undefined ? {} : { leader }),
    role: server === leader ? 'leader' : (state.servers.get(server)?.role ?? 'removed'),
    tick: state.tick,
    tickMs: state.settings.tickMs,
    tickAgeMs: viewer.tickAgeMs,
    leaseLeftMs: viewer.leaseLeftMs,
    ...(found === undefined
      ? {}
      : { feature: featureStatus(viewer, found), standing: report.standing(feature, user) }),
    ...(ended === undefined ? {} : { ended }),
    denials: report.denials(feature, user),
    ...(turnedAway === undefined ? {} : { turnedAway }),
  }
  return { ok: true, value: answer }
}
