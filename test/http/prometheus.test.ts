/**
 * What is in `deploy/`: alert rules, tested by Prometheus's own tool, and a dashboard each of whose queries is run
 * against a real Prometheus that scrapes a real pool.
 */
import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { packageFolder } from '../../lib/nats-server.ts'
import { WatchedPool } from '../watched-pool.ts'
import { prometheus, promtool } from './programs.ts'

t.setTimeout(240_000)

const deploy = join(packageFolder(), 'deploy')
const dashboardText = readFileSync(join(deploy, 'grafana', 'licd.json'), 'utf8')

interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string }[]
}
const dashboard = JSON.parse(dashboardText) as { readonly panels: readonly Panel[] }

/** As Grafana fills them in when all is chosen. */
function filled(expr: string): string {
  return expr.replaceAll(/\$(?:pool|feature)/g, '.*').replaceAll('$__rate_interval', '10s')
}

/** Nothing is owed, denied or waited for in a pool that is well: these may answer with nothing. */
const mayBeEmpty = /denials|dark_allocations/

const tool = promtool()
t.test('alert rules', { skip: 'missing' in tool ? tool.missing : false }, async t => {
  const path = 'path' in tool ? tool.path : ''
  const run = (args: readonly string[]) =>
    new Promise<{ code: unknown; said: string }>(resolve =>
      execFile(path, args, { cwd: join(deploy, 'prometheus') }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : error.code, said: stdout + stderr }),
      ),
    )
  t.match(await run(['check', 'rules', 'licd.rules.yml']), { code: 0, said: /SUCCESS/ })
  t.match(await run(['test', 'rules', 'licd.rules.test.yml']), { code: 0, said: /SUCCESS/ })
})

t.test('every alert has a test, and says what to do', async t => {
  const read = (name: string) => readFileSync(join(deploy, 'prometheus', name), 'utf8')
  const rules = read('licd.rules.yml').split('- alert: ').slice(1)
  const tests = read('licd.rules.test.yml')
  t.ok(rules.length > 10)
  for (const rule of rules) {
    const name = /^\w+/.exec(rule)?.[0] ?? ''
    t.match(rule, /summary:/, name)
    t.match(rule, /action:/, name)
    // Once where it is quiet, once or more where it sounds.
    t.ok(
      tests.split(`alertname: ${name}\n        exp_alerts:`).length > 1,
      `${name} sounds in a test`,
    )
  }
})

const server = prometheus()
t.test('the dashboard', { skip: 'missing' in server ? server.missing : false }, async t => {
  await using pool = await WatchedPool.start({
    ...{ tickMs: 200, leaseTicks: 50, seatTicks: 25 },
    serve: () => ['--http', '127.0.0.1:0'],
  })
  await pool.processes.ctl(['feature', 'add', 'cad', '9', '--local'])
  await pool.until('shares are spread', ({ features }) => features[0]?.free === 0)
  const client = await pool.client()
  await using _seat = await client.acquire('cad')
  const urls = await Promise.all(
    pool.servers.map(
      async name => (await pool.processes.ctl<{ http: string }>(['status'], name)).http,
    ),
  )
  const targets = urls.map(url => new URL(url).host)
  const folder = t.testdir({
    'prometheus.yml': JSON.stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s' },
      rule_files: [join(deploy, 'prometheus', 'licd.rules.yml')],
      scrape_configs: [{ job_name: 'licd', static_configs: [{ targets }] }],
    }),
  })
  const child = spawn(
    'path' in server ? server.path : '',
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      '--web.listen-address=127.0.0.1:0',
      '--log.format=json',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  t.teardown(async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  const base = await new Promise<string>((resolve, reject) => {
    let log = ''
    child.once('close', () => reject(new Error(log)))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
      const port = /"address":"127\.0\.0\.1:(\d+)","caller":"tls_config/.exec(log)?.[1]
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`)
    })
  })
  interface Answer {
    readonly status: string
    readonly error?: string
    readonly data?: { readonly result: readonly { readonly value: readonly [number, string] }[] }
  }
  const ask = async (query: string): Promise<Answer> => {
    const response = await fetch(
      `${base}/api/v1/query?${new URLSearchParams({ query }).toString()}`,
    )
    return (await response.json()) as Answer
  }
  // Rates need a few scrapes of each server: looked at again as time, which is all that is awaited, goes on.
  let scrapes = 0
  while (scrapes < 4) {
    const { data } = await ask('min(count_over_time(licd_raft_commit_seconds_count[1m]))')
    scrapes = Number(data?.result[0]?.value[1] ?? 0)
    if (scrapes < 4) await new Promise(resolve => setTimeout(resolve, 250))
  }
  t.equal((await ask('sum(licd_in_use_allocations{feature="cad"})')).data?.result[0]?.value[1], '1')
  t.equal((await ask('sum(licd_serving)')).data?.result[0]?.value[1], '3')
  t.ok(dashboard.panels.length > 15)
  for (const { title, targets: queries } of dashboard.panels) {
    for (const { expr } of queries) {
      const { status, error = '', data } = await ask(filled(expr))
      t.equal(status, 'success', `${title}: ${expr} ${error}`)
      if (!mayBeEmpty.test(expr))
        t.ok((data?.result.length ?? 0) > 0, `${title}: ${expr} has figures`)
    }
  }
  const rules = await (await fetch(`${base}/api/v1/rules`)).text()
  t.notMatch(rules, /"health":"err"/, 'the alerts can be computed from what servers show')
})
