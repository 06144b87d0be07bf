// `/api/pool` in pages.
import t from 'tap'
import { checkWhole, pageOf, readPoolQuery, rowsMax } from '../../lib/http/pool-page.ts'
import { featureReport, headOf } from '../../lib/http/report.ts'
import { feature, server, view } from '../cmd/views.ts'

/** Names stand in no order. */
function report(features: number) {
  const names = Array.from({ length: features }, (_, n) => `f${(n * 7) % features}`)
  const shown = view(
    [server('alpha'), server('beta')],
    names.map(name => feature(name, [['alpha', 3, 1, 3]])),
  )
  const options = {
    server: 'alpha',
    at: 0,
    roleOf: () => 'voter',
    httpOf: () => undefined,
  } as const
  return {
    ...headOf(shown, { ...options, roleOf: () => 'voter' }),
    features: shown.status.features.map(one => featureReport(shown, one)),
  }
}

const asked = (text: string) => readPoolQuery(new URLSearchParams(text))

t.test('pages have every feature once, in order, and end', t => {
  const whole = report(25)
  for (const limit of [1, 7, 25, 1_000]) {
    const names: string[] = []
    let next: string | undefined = ''
    let pages = 0
    while (next !== undefined) {
      const page = pageOf(whole, asked(`limit=${limit}&from=${next}`))
      t.ok(page.features.length <= limit)
      t.same(page.servers, whole.servers, 'the head is on each')
      names.push(...page.features.map(({ name }) => name))
      next = page.next
      pages++
    }
    t.equal(pages, Math.ceil(25 / limit))
    t.same(names, whole.features.map(({ name }) => name).sort())
  }
  t.equal(pageOf(whole, asked('')), whole, 'without a limit all of it')
  t.same(pageOf(report(0), asked('limit=5')).features, [])
  t.end()
})

t.test('what is too much for one answer is refused with what to ask for instead', t => {
  const most = rowsMax / 32
  checkWhole(asked(''), { features: most, servers: 32 })
  checkWhole(asked('limit=1000'), { features: 10_000, servers: 32 })
  const refused = { code: 'LICD_TOO_LARGE', message: /\/api\/pool\?limit=1000, then for from=NEXT/ }
  t.throws(() => checkWhole(asked(''), { features: most + 1, servers: 32 }), refused)
  for (const limit of ['0', '-1', '1001', '2.5', 'x']) {
    t.throws(() => asked(`limit=${limit}`), { code: 'LICD_BAD_REQUEST' })
  }
  t.end()
})
