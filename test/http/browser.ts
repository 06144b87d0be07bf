/**
 * A real Chromium that looks at a server's page as people do, and what tests ask of it: that nothing comes from
 * another host, that nothing goes wrong, and that axe finds nothing to complain of.
 */
import { join } from 'node:path'
import axe from 'axe-core'
import { chromium as driver, type Browser, type Page } from 'playwright-core'

export type Scheme = 'light' | 'dark'
export const schemes: readonly Scheme[] = ['light', 'dark']
/** A phone and a desktop, in CSS pixels. */
export const widths = [360, 1440] as const

/** Something that a page did and should not have. */
export interface Watched {
  readonly page: Page
  /** Errors of scripts and of the policy, in the order in which they came. */
  readonly errors: string[]
  /** Hosts that were asked for anything. */
  readonly hosts: Set<string>
}

export async function launch(path: string): Promise<Browser> {
  return await driver.launch({ executablePath: path, args: ['--no-sandbox'] })
}

export async function look(
  browser: Browser,
  url: string,
  view: { readonly scheme?: Scheme; readonly width?: number } = {},
): Promise<Watched> {
  const { scheme = 'light', width = 1440 } = view
  const page = await browser.newPage({
    viewport: { width, height: width < 500 ? 800 : 900 },
    colorScheme: scheme,
    reducedMotion: 'reduce',
  })
  const errors: string[] = []
  const hosts = new Set<string>()
  page.on('pageerror', error => errors.push(error.message))
  page.on('console', message => {
    // A server that is gone, or starts, is told of by the browser itself; the tests of that look at the page.
    if (message.type() === 'error' && !/net::ERR_|status of 503/.test(message.text())) {
      errors.push(message.text())
    }
  })
  page.on('request', request => hosts.add(new URL(request.url()).host))
  await page.goto(url)
  return { page, errors, hosts }
}

/** What axe finds, one line a rule. Injected past the page's policy, as its driver may. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations: found } = await page.evaluate(
    async () => await (globalThis as unknown as { axe: typeof axe }).axe.run(),
  )
  return found.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .map(({ html, failureSummary }) => `${html} ${failureSummary ?? ''}`)
        .join('; ')
        .slice(0, 400)}`,
  )
}

/** Where pictures go, when they are wanted: `LICD_SCREENSHOTS=docs`. */
export async function picture(page: Page, name: string, height?: number): Promise<void> {
  const folder = process.env['LICD_SCREENSHOTS']
  if (folder === undefined || folder === '') return
  const { width = 0 } = page.viewportSize() ?? {}
  if (height !== undefined) await page.setViewportSize({ width, height })
  await page.screenshot({ path: join(folder, `${name}.png`) })
}
