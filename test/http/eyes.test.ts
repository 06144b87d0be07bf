/** What servers of a real pool show over HTTP, and over NATS to its own tools. */
import { execFile } from 'node:child_process'
import t from 'tap'
import type { PoolReport } from '../../lib/http/report.ts'
import { WatchedPool } from '../watched-pool.ts'
import { promtool } from './programs.ts'

t.setTimeout(180_000)

// Fetched, which may take long and lets nothing else run, before there are seats to renew.
const tool = promtool()

/** Figures of one scrape: `name{labels}` -> value, without those that are always the same. */
async function scrape(
  url: string,
): Promise<{ text: string; of: (name: string) => number | undefined }> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const figures = new Map<string, number>()
  for (const line of text.split('\n')) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (found === null) continue
    const [, name = '', labels = '', value] = found
    const own = labels.split(',').filter(label => !/^(pool|server)=/.test(label) && label !== '')
    figures.set(own.length === 0 ? name : `${name}{${own.join(',')}}`, Number(value))
  }
  return { text, of: name => figures.get(name) }
}

async function getJson<T>(url: string): Promise<T> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

/** The events of a stream, as they come; it ends with the loop over it. */
async function* eventsOf(url: string): AsyncGenerator<[string, unknown]> {
  const { body } = await fetch(`${url}/api/events`)
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader()
  if (reader === undefined) throw new Error('no body')
  try {
    let text = ''
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      text += value
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(block) ?? []
        if (name !== undefined && data !== undefined) yield [name, JSON.parse(data)]
      }
    }
  } finally {
    await reader.cancel()
  }
}

t.test('a pool with its eyes open', async t => {
  await using pool = await WatchedPool.start({
    ...{ tickMs: 200, leaseTicks: 40, seatTicks: 20 },
    serve: () => ['--http', '127.0.0.1:0'],
  })
  await pool.processes.ctl(['feature', 'add', 'cad', '9', '--local'])
  await pool.until('shares are spread', ({ features }) => features[0]?.free === 0)
  const urls = new Map<string, string>()
  for (const { answeredBy, http = '' } of await Promise.all(
    pool.servers.map(async server => ({
      answeredBy: server,
      http: (await pool.processes.ctl<{ http?: string }>(['status'], server)).http,
    })),
  )) {
    urls.set(answeredBy, http)
  }
  const urlOf = (server: string) => urls.get(server) ?? ''
  const client = await pool.client('beta')
  const seats = await Promise.all(['mary', 'jane'].map(user => client.acquire('cad', { user })))
  // Nothing below can come about without them: a stream of events would be read for ever.
  const lost = new Promise<never>((_, reject) => {
    for (const seat of seats) seat.on('lost', reject)
  })
  lost.catch(() => undefined)
  const own = seats[0]?.server ?? ''
  const url = urlOf(own)
  const [other = '', third = ''] = pool.servers.filter(server => server !== own)

  await t.test('figures', async t => {
    await t.rejects(client.acquire('cad', { count: 10 }), { code: 'LICD_BAD_COUNT' })
    await t.rejects(client.acquire('nothing'), { code: 'LICD_UNKNOWN_FEATURE' })
    const { text, of } = await scrape(url)
    t.equal(of('licd_grants_total{feature="cad"}'), 2)
    t.equal(of('licd_denials_total{feature="cad",reason="LICD_BAD_COUNT"}'), 1)
    t.equal(of('licd_denials_total{feature="(other)",reason="LICD_UNKNOWN_FEATURE"}'), 1)
    t.equal(of('licd_in_use_allocations{feature="cad"}'), 2)
    t.equal(of('licd_pool_allocations{feature="cad"}'), 9)
    t.equal(of('licd_pool_servers{state="up"}'), 3)
    t.equal(of('licd_serving'), 1)
    t.ok((of('licd_lease_remaining_seconds') ?? 0) > 0)
    t.ok((of('licd_raft_sync_seconds_count') ?? 0) > 0, 'the disk was synced')
    t.equal(of('licd_raft_dropped_messages_total{reason="checksum"}'), 0, 'all is understood')
    t.ok(of('nodejs_eventloop_lag_p99_seconds') !== undefined, 'how late the loop is')
    const shares = await Promise.all(
      pool.servers.map(async server =>
        (await scrape(urlOf(server))).of('licd_share_allocations{feature="cad"}'),
      ),
    )
    t.equal(
      shares.reduce((sum = 0, share = 0) => sum + share, 0),
      9,
      'servers show their own',
    )
    const leader = await pool.leader()
    const its = await scrape(urlOf(leader))
    t.ok((its.of('licd_raft_commit_seconds_count') ?? 0) > 0, 'the leader commits')
    t.equal(its.of('licd_raft_role{role="leader"}'), 1)
    const [one, two] = await Promise.all([scrape(url), scrape(url)])
    t.equal(one.of('licd_grants_total{feature="cad"}'), 2, 'two scrapes at once do not add up')
    t.equal(two.of('licd_grants_total{feature="cad"}'), 2)
    if ('missing' in tool) await t.test('promtool', { skip: tool.missing }, () => undefined)
    else {
      const said = await new Promise<string>(resolve => {
        const child = execFile(tool.path, ['check', 'metrics'], (error, stdout, stderr) =>
          resolve((error === null ? '' : error.message) + stdout + stderr),
        )
        child.stdin?.end(text)
      })
      t.equal(said, '', 'promtool check metrics')
    }
  })

  await t.test('the API', async t => {
    const report = await getJson<PoolReport>(`${url}/api/pool`)
    t.match(report, { pool: 'default', server: own, leader: await pool.leader() })
    t.same(
      report.servers.map(({ name, http }) => [name, http]),
      [...urls],
      'where the others are',
    )
    t.match(report.features[0], { name: 'cad', parts: { inUse: 2, idle: 7, free: 0 } })
    interface Seats {
      seats: { user: string; server: string; seatId: string }[]
      next?: string
      total: number
    }
    const all = await getJson<Seats>(`${urlOf(other)}/api/seats`)
    t.same(all.seats.map(({ user }) => user).sort(), ['jane', 'mary'], 'of another server too')
    const page = await getJson<Seats>(`${url}/api/seats?limit=1`)
    t.match(page, { total: 2, next: page.seats[0]?.seatId ?? '' })
    const rest = await getJson<Seats>(`${url}/api/seats?limit=1&after=${page.next ?? ''}`)
    t.equal(rest.next, undefined)
    t.not(rest.seats[0]?.seatId, page.seats[0]?.seatId)
    t.match(await getJson(`${url}/api/seats?search=MARY`), { total: 1, seats: [{ user: 'mary' }] })
    t.match(await getJson(`${url}/api/seats?feature=none`), { total: 0, seats: [] })
    t.match(await getJson(`${url}/api/why?feature=cad`), {
      verdict: { says: [/7 can be granted at once/] },
      denials: [{ code: 'LICD_BAD_COUNT', server: own }],
    })
    await pool.processes.ctl(['criteria', 'set', 'cad', '--threshold', '0.8'])
    interface Past {
      usage: { granted: number[]; owned: number[] }
      audit: { records: { action: string; outcome: string }[]; total: number }
    }
    // A tick later at the latest the leader has told all of them.
    const past = async (server: string): Promise<Past> => ({
      usage: await getJson(`${urlOf(server)}/api/usage?feature=cad&unit=minute&from=10m`),
      audit: await getJson(`${urlOf(server)}/api/audit?search=cad`),
    })
    await pool.until('the past is known at all servers', async () => {
      const all = await Promise.all(pool.servers.map(past))
      return all.every(
        ({ usage, audit }) =>
          usage.granted.reduce((sum, count) => sum + count, 0) === 2 &&
          audit.records[0]?.action === 'set-threshold',
      )
    })
    t.match(await past(third), {
      audit: {
        records: [
          { action: 'set-threshold', subject: 'cad', outcome: 'ok' },
          { action: 'add-feature' },
        ],
      },
    })
    t.equal((await past(own)).usage.owned.at(-1), 9)
    t.equal((await fetch(`${url}/api/usage?feature=nothing`)).status, 404)
    for (const path of [
      '/api/usage',
      '/api/usage?feature=cad&unit=minute&from=7d',
      '/api/audit?limit=501',
      '/api/audit?before=x',
      '/api/why',
      '/api/why?feature=%20',
      '/api/seats?limit=0',
      '/api/seats?limit=x',
    ]) {
      const { status } = await fetch(url + path)
      t.equal(status, 400, path)
    }
    t.equal((await fetch(`${url}/../../package.json`)).status, 404)
    const { seats: known } = await pool.processes.ctl<{ seats: { clientId: string }[] }>(['seats'])
    const [secret = ''] = known.map(seat => seat.clientId)
    t.ok(secret.length > 10)
    for (const path of [
      '/api/pool',
      '/api/seats',
      '/api/why?feature=cad',
      '/api/usage?feature=cad',
      '/api/audit',
      '/metrics',
    ]) {
      t.notMatch(await (await fetch(url + path)).text(), secret, `no bearer secret in ${path}`)
    }
  })

  await t.test(
    'the page: its own files alone, under a strict policy, and no more than once',
    async t => {
      const response = await fetch(url)
      const policy = response.headers.get('content-security-policy') ?? ''
      t.match(policy, /default-src 'none'/)
      t.notMatch(policy, /unsafe|\*/)
      t.match(policy, urlOf(other), 'and the other servers, for when this one is lost')
      const html = await response.text()
      t.notMatch(html, /style=|<script>|\son\w+=|https?:/, 'nothing inline, nothing from elsewhere')
      const tag = response.headers.get('etag') ?? ''
      const again = await fetch(url, { headers: { 'If-None-Match': tag } })
      t.equal(again.status, 304)
      for (const [, path = ''] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g)) {
        t.equal((await fetch(url + path)).status, 200, path)
      }
    },
  )

  await t.test('who may read: pages of this pool, no other site', async t => {
    const origin = async (from: string) => {
      const { headers } = await fetch(`${url}/api/pool`, { headers: { Origin: from } })
      return headers.get('access-control-allow-origin')
    }
    t.equal(await origin(urlOf(third)), urlOf(third))
    t.equal(await origin('https://evil.example'), null)
  })

  await t.test('events: all at first, then what changes', async t => {
    const events = eventsOf(url)
    const next = async () =>
      (await Promise.race([events.next(), lost])).value as [string, { features?: unknown[] }]
    t.match(await next(), ['pool', { server: own }])
    t.match(await next(), ['features', { all: true, features: [{ name: 'cad' }] }])
    t.match(await next(), ['news', [{ id: 1 }]])
    const elsewhere = await pool.client(other)
    const began = performance.now()
    await using seat = await elsewhere.acquire('cad', { user: 'joe' })
    for (;;) {
      const [name, data] = await next()
      if (name !== 'features') continue
      t.match(data, { all: false })
      if (JSON.stringify(data).includes('"parts":{"inUse":3')) break
    }
    // How soon is a figure, not a verdict: on a busy machine it says more of the machine.
    const tookMs = Math.round(performance.now() - began)
    t.comment(`a grant at ${seat.server} was told at ${own} after ${tookMs} ms`)
    t.ok(seat.valid)
    await events.return(undefined)
  })

  await t.test('NATS knows its services', async t => {
    const ask = async (subject: string, count: number) => {
      const found: Record<string, unknown>[] = []
      let finish = (): void => undefined
      const all = new Promise<void>(resolve => (finish = resolve))
      const inbox = `${pool.bus.inbox}.micro.${subject.length}${count}`
      const subscription = pool.bus.subscribe(inbox, ({ data }) => {
        found.push(JSON.parse(new TextDecoder().decode(data)) as Record<string, unknown>)
        if (found.length === count) finish()
      })
      pool.bus.publish(subject, new Uint8Array(), { reply: inbox })
      await all
      subscription.unsubscribe()
      return found
    }
    const pings = await ask('$SRV.PING', 3)
    t.same(
      pings.map(({ metadata }) => metadata && (metadata as { server: string }).server).sort(),
      pool.servers,
    )
    t.match(pings[0], {
      type: 'io.nats.micro.v1.ping_response',
      name: 'licd',
      version: /^\d+\.\d+\.\d+/,
    })
    const its = pings.find(({ metadata }) => (metadata as { server: string }).server === own)
    t.match(await ask(`$SRV.INFO.licd.${String(its?.id)}`, 1), [
      {
        type: 'io.nats.micro.v1.info_response',
        endpoints: [
          { name: 'find' },
          { name: 'acquire', subject: 'licd.v1.default.seat.any.acquire', queue_group: 'licd' },
        ],
      },
    ])
    const [stats] = await ask(`$SRV.STATS.licd.${String(its?.id)}`, 1)
    t.match(stats, { type: 'io.nats.micro.v1.stats_response', started: /^\d{4}-.*Z$/ })
    const acquire = (stats?.endpoints as { name: string; num_requests: number }[])[1]
    t.ok((acquire?.num_requests ?? 0) > 0)
  })

  await t.test('ready while it may grant, alive while it runs', async t => {
    t.equal((await fetch(`${url}/healthz`)).status, 200)
    t.equal((await fetch(`${url}/readyz`)).status, 200)
    for (const server of pool.servers) if (server !== own) await pool.processes.kill(server)
    await pool.event('its lease is over', ({ type, event }) =>
      type === 'server' && event.server === own && event.event === 'lease-lost' ? true : undefined,
    )
    const ready = await fetch(`${url}/readyz`)
    t.same([ready.status, await ready.text()], [503, 'no lease\n'])
    t.equal((await fetch(`${url}/healthz`)).status, 200)
    t.equal((await scrape(url)).of('licd_serving'), 0)
    const report = await getJson<PoolReport>(`${url}/api/pool`)
    t.same(
      report.servers.map(({ answers }) => answers),
      pool.servers.map(server => server === own),
    )
    const events = eventsOf(url)
    await events.next()
    await pool.processes.kill(own, 'SIGTERM')
    t.pass('open streams do not keep it from stopping')
    await events.return(undefined).catch(() => undefined)
  })
})
