/** `licd ctl usage` on a pool of processes: the same history at every server, through the loss of a leader. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { WatchedPool } from '../watched-pool.ts'
import { call } from './in-process.ts'

t.setTimeout(240_000)

t.test('the history outlives the leader, and is the same everywhere', async t => {
  await using pool = await WatchedPool.start()
  const { processes, servers } = pool
  const env = { LICD_NATS: processes.nats.url }
  const usage = async (...args: string[]) => {
    const { code, stdout, message } = await call(['ctl', 'usage', 'cad', ...args], { env })
    t.equal(code, 0, message)
    return stdout
  }
  /** What all servers that run say, as soon as they say the same and it fits. */
  const agreed = async (what: string, at: readonly string[], fits: (text: string) => boolean) => {
    let text = ''
    await pool.until(what, async () => {
      const said = await Promise.all(
        at.map(server => usage('--by', 'hour', '--json', '--server', server)),
      )
      text = said[0] ?? ''
      return said.every(other => other === text) && fits(text)
    })
    return text
  }

  await processes.ctl(['feature', 'add', 'cad', '4', '--local'])
  const client = await pool.client()
  const seats = await client.acquire('cad', { count: 4, timeout: 30_000 })
  t.ok(seats.valid)
  await t.rejects(client.acquire('cad'), { code: 'LICD_NO_SEAT' })
  const told = (text: string): boolean => /"peak":4/.test(text) && /"no-seat":[1-9]/.test(text)
  const before = await agreed('told', servers, told)
  const count = (text: string, field: string): number =>
    [...text.matchAll(new RegExp(`"${field}":(\\d+)`, 'g'))].reduce(
      (sum, [, n]) => sum + Number(n),
      0,
    )
  t.equal(count(before, 'granted'), 4)

  const leader = await pool.leader()
  await processes.kill(leader)
  const left = servers.filter(server => server !== leader)
  await pool.until('another leads', ({ leader: now }) => now !== undefined && now !== leader)
  const again = await pool.client(...left)
  await t.rejects(again.acquire('cad'), { code: 'LICD_NO_SEAT' })
  const denied = count(before, 'no-seat')
  await agreed('told by those left', left, text => count(text, 'no-seat') > denied)
  await processes.startServer(leader)
  const after = await agreed('all the same', servers, text => count(text, 'no-seat') > denied)
  t.ok(told(after), 'nothing of before is lost')

  t.match(await usage(), /^FEATURE +FROM +IN USE .*\ncad +20\d\d-/)
  t.match(await usage('--format', 'csv'), /^feature,from,in use,owned,.*\ncad,20.*Z,/)
  t.match(await usage('--format', 'chart'), /! denied for want of a seat/)
  t.match(await usage('--format', 'needed', '--by', 'day'), /cad: \d+ days, 4 owned\nSEATS/)
  const file = join(t.testdir(), 'usage.html')
  t.equal(await usage('--report', file), '')
  const page = readFileSync(file, 'utf8')
  t.match(page, /<h2>cad<\/h2>/)
  t.notMatch(page, /<script|http/)
  const refusals = [
    [['--from', 'soon'], /no date/],
    [['--from', '2026-01-02', '--to', '2026-01-01'], /before/],
    [['--by', 'minute', '--from', '2000-01-01'], /choose --by hour/],
    [['--by', 'week'], /week|by/],
  ] as const
  for (const [args, says] of refusals) {
    t.match(await call(['ctl', 'usage', ...args], { env }), { code: 'LICD_USAGE', message: says })
  }
})
