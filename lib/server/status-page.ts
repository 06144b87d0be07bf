/**
 * What one server answers to `status`: the pool, with all features, a page of them, one, or none.
 */
import { ctlBounds, type CtlAnswers, type FeatureStatus } from '../protocol/ctl.ts'
import { answerPage, namesAfter, readPage } from './ctl-page.ts'
import { refuse, type Fields } from './ctl-request.ts'
import type { Answer } from './ctl-wire.ts'
import { featureStatus, poolHead, type Viewer } from './status.ts'

export function statusAnswer(viewer: Viewer, fields: Fields): Answer {
  const page = readPage(fields)
  if (!page.ok) return page
  const { feature, own = false } = fields
  if (feature !== undefined && typeof feature !== 'string') {
    return refuse('LICD_BAD_REQUEST', 'Field feature must be the name of a feature.')
  }
  if (typeof own !== 'boolean') return refuse('LICD_BAD_REQUEST', 'Field own must be a boolean.')
  const { features, servers } = viewer.ledger.state
  const asked = feature === undefined ? features.keys() : features.has(feature) ? [feature] : []
  const listed = own ? Array.from(asked).filter(name => isBusy(viewer, name)) : asked
  const { after, limit } = page.value
  const mostRows = own ? Infinity : Math.max(1, Math.floor(ctlBounds.pageShares / servers.size))
  const isPaged = fields['limit'] !== undefined
  const { names, more } = namesAfter(listed, {
    after,
    limit: isPaged ? Math.min(limit, mostRows) : limit,
  })
  const rows = names.flatMap((name): FeatureStatus[] => {
    const found = features.get(name)
    if (found === undefined) return []
    const whole = featureStatus(viewer, found)
    return [own ? ownOf(whole, viewer.server) : whole]
  })
  const head = poolHead(viewer)
  return answerPage(
    rows,
    { more, isPaged },
    ({ name }) => name,
    (some, next): CtlAnswers['status'] => ({
      status: { ...head, features: some },
      ...(own ? { own } : {}),
      ...next,
    }),
  )
}

/** Whether anything of it is in use or dark here. */
function isBusy({ inUse, dark }: Viewer, feature: string): boolean {
  return inUse(feature) > 0 || (dark.get(feature)?.length ?? 0) > 0
}

function ownOf(status: FeatureStatus, server: string): FeatureStatus {
  const { dark, shares } = status
  return {
    ...status,
    ...(dark === undefined ? {} : { dark: dark.filter(row => row.server === server) }),
    shares: shares.filter(row => row.server === server),
  }
}
