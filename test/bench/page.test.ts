// The bench's page, of a run of which parts could not be measured.
import t from 'tap'
import type { Cell, Figures, Group, SectionTable } from '../../bench/figures.ts'
import { page } from '../../bench/page/page.ts'
import { linearScale, logScale } from '../../bench/page/svg.ts'

const cell: Cell = {
  ...{ row: 'etcd.own', layout: '1x16', perSecond: [1_000], latencies: [] },
  ...{ p50Ms: [1], p99Ms: [2], failures: {}, clientMicros: [100] },
  ...{ serverMicros: {}, clientRssMiB: 50, serverRssMiB: {} },
}

function figures(cells: readonly Cell[], sections: readonly SectionTable[] = []): Figures {
  const group: Group = {
    ...{ id: 'seats', title: 'Taking and returning a seat', seconds: 1 },
    ...{ titles: { 'etcd.own': 'etcd: one’s own key' }, layouts: ['1x1', '1x16'], cells },
  }
  return {
    machine: {
      ...{ cpu: 'a', cores: 1, memoryGiB: 1, system: 'b', node: '20', commit: 'c' },
      at: '2026-11-29T00:00:00.000Z',
    },
    ...{ versions: {}, skipped: { licd: 'no nats-server' }, loadBefore: '0', loadAfter: '0' },
    ...{ pairs: 1, seconds: 1, groups: [group], sections },
  }
}

const panels = (html: string): string[] => html.split('<section class="panel">').slice(1)

t.test('a run in which nothing could be measured has a page, without pictures', t => {
  const html = page(figures([]))
  t.same(panels(html), [])
  t.match(html, 'Left out: licd (no nats-server)')
  t.end()
})

t.test('where one was measured in one layout alone, that one is drawn, and nothing else', t => {
  const html = page(figures([cell]))
  t.ok(panels(html).length > 0)
  t.notMatch(html, /NaN|Infinity|undefined/)
  t.equal(
    panels(html).filter(text => text.startsWith('<h3>1 client process')).length,
    1,
    'of two layouts',
  )
  t.end()
})

t.test('a chart of a section without a point has axes all the same', t => {
  const axes = { title: 'none', xAxis: 'x', yAxis: 'y', series: [], xLog: false, yLog: true }
  const charts = [
    { kind: 'lines', ...axes },
    { kind: 'ranges', title: 'none', axis: 'x', rows: [], isLog: false },
  ] as const
  const html = page(figures([], [{ title: 'An outage', head: ['a'], rows: [], charts }]))
  t.equal(panels(html).length, 2)
  t.notMatch(html, /NaN|Infinity/)
  for (const scale of [linearScale, logScale]) {
    const made = scale([Number.NaN, 0], { from: 0, to: 100 })
    t.ok(
      made.ticks.length > 1 &&
        made.ticks.every(tick => made.place(tick) >= 0 && made.place(tick) <= 100),
    )
  }
  t.end()
})
