/**
 * Pictures of the page for the README, of a real pool: `node dist/test/http/pictures.js docs [MINUTES]`. With minutes, use
 * wanders for so long first, so that the history's chart has something to show.
 *
 * A day in small: three users' programs, a feature that runs short, denials, and a server that is lost while we look.
 */
import { join } from 'node:path'
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import type { Client } from '../../lib/index.ts'
import { systemClock, systemRandom } from '../../raft/index.ts'
import { WatchedPool } from '../watched-pool.ts'
import { launch, look, type Scheme } from './browser.ts'
import { chromium } from './programs.ts'

const users = ['mary', 'joe', 'ana', 'li', 'tom', 'eva', 'max', 'ida', 'sam', 'kim']

async function hold(client: Client, feature: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const user = users[n % users.length] ?? ''
    await client.acquire(feature, { user, host: `ws${(n * 7) % 40}`, timeout: 20_000 })
  }
}

/** Use that comes and goes, as in an office; real time, since the history is by the pool's calendar. */
async function wander(client: Client, feature: string, minutes: number): Promise<void> {
  const until = systemClock.now() + minutes * 60_000
  const held: { release(): Promise<unknown> }[] = []
  for (let n = 0; systemClock.now() < until; n++) {
    const wanted = Math.round(16 + 14 * Math.sin(n / 9) + 6 * Math.sin(n / 2.3))
    while (held.length > Math.max(0, wanted)) await held.pop()?.release()
    while (held.length < wanted) {
      try {
        const user = users[held.length % users.length] ?? ''
        held.push(await client.acquire(feature, { user, host: `ws${held.length}` }))
      } catch {
        // Denied: that is a part of the picture.
        break
      }
    }
    await new Promise<void>(resolve => systemClock.after(5_000, resolve))
  }
}

async function main(folder: string, minutes: number): Promise<void> {
  const found = chromium()
  if ('missing' in found) throw new Error(found.missing)
  await using pool = await WatchedPool.start({
    ...{ tickMs: 500, leaseTicks: 60, seatTicks: 40 },
    serve: () => ['--http', '127.0.0.1:0'],
  })
  const ctl = new CtlClient({
    ...{ bus: pool.bus, clock: systemClock, random: systemRandom, pool: 'default' },
    by: 'mary@ws7',
  })
  for (const [feature, allocations] of Object.entries({
    cad: 30,
    'cfd@2026': 12,
    fem: 30,
    render: 200,
    viewer: 50,
  })) {
    await ctl.change('feature-add', { feature, allocations })
  }
  await pool.until('shares are spread', ({ features }) => features.every(({ free }) => free < 3))
  const clients = await Promise.all(pool.servers.map(server => pool.client(server)))
  const [first, second, third] = clients
  if (first === undefined || second === undefined || third === undefined) throw new Error('3')
  await Promise.all([hold(first, 'cad', 9), hold(second, 'cad', 13), hold(first, 'render', 88)])
  await Promise.all([hold(third, 'cfd@2026', 12), hold(second, 'viewer', 17)])
  await second.acquire('cfd@2026', { user: 'joe', host: 'ws12' }).catch(() => undefined)
  void third
    .acquire('cfd@2026', { user: 'eva', host: 'ws3', timeout: 60_000 })
    .catch(() => undefined)
  await pool.until('somebody waits', ({ features }) =>
    features.some(({ shares }) => shares.some(({ demand }) => demand > 0)),
  )
  if (minutes > 0) await wander(first, 'fem', minutes)
  const { http = '' } = await pool.processes.ctl<{ http?: string }>(['status'], 'beta')
  const browser = await launch(found.path)
  const take = async (name: string, view: { scheme: Scheme; width: number; height: number }) => {
    const { page } = await look(browser, http, view)
    await page.setViewportSize(view)
    const cfd = page.locator('details.feature', { has: page.getByText('cfd@2026') }).first()
    await cfd.locator('summary').click()
    await cfd.getByText('LICD_NO_SEAT').waitFor()
    return { page, shoot: () => page.screenshot({ path: join(folder, `${name}.png`) }) }
  }
  const { page } = await look(browser, http, { scheme: 'light', width: 1180 })
  await page.setViewportSize({ width: 1180, height: 900 })
  const fem = page.locator('details.feature', { has: page.getByText('fem') }).first()
  await fem.locator('summary').click()
  await fem.locator('.past canvas').nth(1).waitFor()
  await fem.scrollIntoViewIfNeeded()
  await fem.screenshot({ path: join(folder, 'page-history.png') })
  await (await take('page-light', { scheme: 'light', width: 1180, height: 600 })).shoot()
  await (await take('page-phone', { scheme: 'dark', width: 360, height: 860 })).shoot()
  const lost = await take('page-dark', { scheme: 'dark', width: 1180, height: 600 })
  await pool.processes.kill('alpha')
  await lost.page.locator('#servers').getByText('silent').waitFor()
  await lost.page
    .getByText(/^\d+ dark$/)
    .first()
    .waitFor()
  await lost.shoot()
  await browser.close()
  ctl.close()
}

await main(process.argv[2] ?? 'docs', Number(process.argv[3] ?? 0))
