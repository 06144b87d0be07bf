/**
 * SIGHUP to `licd serve`: reads again what can change while it runs.
 *
 * Configuration file, credentials and the nats-server's configuration with its certificates are read and checked as a
 * whole first; what is wrong in any of them changes nothing, and the log says what (`reload-refused`, with a code). Then
 * the log level, the credentials (at the next connection) and the nats-server change. What was changed and cannot change
 * is named (`needs-restart`). What the command line says stays.
 */
import { parseHttpAddress, parseHttpUrl } from '../lib/http/address.ts'
import { logLevelOf, type ServerLog } from '../lib/log.ts'
import { asLicdError } from '../lib/server/fatal.ts'
import type { Program } from './program.ts'
import type { FoundNats } from './serve-nats.ts'
import { Settings } from './settings.ts'

/** Settings of a server that hold as long as its process. */
const fixed = ['data', 'nats', 'context', 'pool', 'server', 'http', 'http-url'] as const

export interface ReloadOptions {
  readonly program: Program
  readonly log: ServerLog
  readonly nats: Pick<FoundNats, 'prepare'>
  /** The level that it was started with. */
  readonly logLevel: string
}

export class Reload {
  readonly #options: ReloadOptions
  #isRunning = false
  #isWanted = false

  constructor(options: ReloadOptions) {
    this.#options = options
  }

  /** Once at a time; however often it is asked for meanwhile, once more after. */
  readonly handle = (): void => {
    this.#isWanted = true
    if (this.#isRunning) return
    this.#isRunning = true
    void (async () => {
      while (this.#isWanted) {
        this.#isWanted = false
        await this.#once()
      }
      this.#isRunning = false
    })()
  }

  async #once(): Promise<void> {
    const { log, nats, program, logLevel } = this.#options
    try {
      const settings = new Settings(program.environment, program.settings.fileName)
      const level = logLevelOf(this.#level(settings, logLevel))
      checkFixed(settings)
      const prepared = await nats.prepare()
      // From here on nothing fails.
      const needing: string[] = fixed.filter(
        name => settings.find(name)?.value !== program.settings.find(name)?.value,
      )
      if (prepared.needsRestart) needing.push('addresses or authority of NATS')
      log.setLevel(level)
      prepared.apply()
      log.info('reloaded', { logLevel: level })
      if (needing.length > 0) log.warn('needs-restart', { settings: needing })
    } catch (cause) {
      const { code, message } = asLicdError(cause)
      log.error('reload-refused', { code, why: message })
    }
  }

  /** The file's, unless something nearer said otherwise when it started. */
  #level(settings: Settings, started: string): string | undefined {
    const before = this.#options.program.settings.find('log-level')?.value ?? 'info'
    const now = settings.find('log-level')?.value
    if (started !== before) return started
    return typeof now === 'string' ? now : 'info'
  }
}

/** What a restart would stumble over is wrong now. Throws LICD_BAD_CONFIG. */
function checkFixed(settings: Settings): void {
  settings.check()
  const http = settings.find('http')?.value
  if (typeof http === 'string') parseHttpAddress(http)
  const url = settings.find('http-url')?.value
  if (typeof url === 'string') parseHttpUrl(url)
}
