/** `licd ctl top`: the pool on the whole terminal, as it changes. */
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { watchPool, type PoolEvent } from '../../lib/ctl/pool-events.ts'
import type { PoolView } from '../../lib/ctl/pool-view.ts'
import { LicdError } from '../../lib/error.ts'
import { NewsRing } from '../../lib/http/news.ts'
import { isFeatureName } from '../../lib/protocol/subject.ts'
import { Screen, type Terminal } from '../../lib/screen.ts'
import type { Bus } from '../../raft/ports.ts'
import { systemClock } from '../../raft/system.ts'
import { defineCommand, readSeconds, usage } from '../command.ts'
import type { Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatDuration } from '../table.ts'
import { viewFeature } from './status.ts'
import { topFrame } from './top-frame.ts'

/** Columns of a frame that is printed, where there is no terminal. */
const printedWidth = 80
/** Without an answer for so long, the screen says so. */
const troubleMs = 3_000
const everyMaxS = 3_600
const keys = 'q quit   ↑ ↓ features'

export const topCommand = defineCommand({
  command: 'top [feature]',
  describe: 'Show the pool on the whole terminal, as it changes: shares as bars, servers, events',
  positionals: { feature: { type: 'string', describe: 'Show this feature only' } },
  options: {
    ...sessionOptions,
    every: { type: 'number', describe: 'Seconds between two looks', default: 1 },
    once: { type: 'boolean', describe: 'Print one frame and end', default: false },
  },
  examples: [
    ['ctl top', 'the pool, until q or Ctrl-C'],
    ['ctl top cad --every 0.2', 'one feature, looked at five times a second'],
    ['ctl top --once > pool.txt', 'one frame, as text'],
  ],
  epilogue: 'Where the output is no terminal one frame is printed, 80 columns wide.',
  run: async (args, program) => {
    const { feature } = args
    if (feature !== undefined && !isFeatureName(feature)) throw usage('That is no feature name.')
    const everyMs = readSeconds('--every', args.every, everyMaxS)
    if (everyMs < 100) throw usage('--every must be 0.1 seconds or more.')
    return await withSession(args, program.environment, async ({ bus, client }) => {
      const view = await viewFeature(client, feature)
      const terminal = args.once || args.json ? undefined : terminalOf()
      if (args.json) program.printJson(view)
      else if (terminal === undefined) {
        const width = program.columns ?? printedWidth
        const frame = { view, events: [], from: 0, width, height: Infinity }
        for (const line of topFrame({ ...frame, paint: paintOf(program) })) program.print(line)
      } else await showTop({ bus, client, terminal, program, everyMs, feature, view })
      return 0
    })
  },
})

function paintOf(program: Pick<Program, 'paint'>): Program['paint'] {
  return (format, text) => program.paint(format, text)
}

function terminalOf(): Terminal | undefined {
  const { stdin, stdout } = process
  return stdin.isTTY && stdout.isTTY ? { input: stdin, output: stdout } : undefined
}

export interface TopOptions {
  readonly bus: Bus
  readonly client: CtlClient
  readonly terminal: Terminal
  readonly program: Pick<Program, 'paint'>
  readonly everyMs: number
  readonly feature: string | undefined
  /** The first look. */
  readonly view: PoolView
}

/** Resolves when `q`, Ctrl-C or a signal ends it; the terminal is as it was then, whatever happens. */
export async function showTop(options: TopOptions): Promise<void> {
  const top = new Top(options)
  try {
    await top.ended
  } finally {
    top.close()
  }
}

class Top {
  readonly ended: Promise<void>
  readonly #options: TopOptions
  readonly #screen: Screen
  readonly #events: { unsubscribe(): void }
  readonly #news = new NewsRing(() => systemClock.wall())
  readonly #gone = new Set<string>()
  readonly #end: () => void
  #view: PoolView
  #answeredAt = systemClock.now()
  #from = 0
  #timer: { cancel(): void } | undefined
  #isAsking = false
  #trouble: string | undefined
  #isClosed = false

  constructor(options: TopOptions) {
    this.#options = options
    this.#view = options.view
    let end = (): void => undefined
    this.ended = new Promise(resolve => (end = resolve))
    this.#end = end
    this.#screen = new Screen(
      options.terminal,
      key => this.#press(key),
      () => this.#draw(),
    )
    process.on('SIGINT', end).on('SIGTERM', end).on('SIGHUP', end)
    this.#events = watchPool(options.bus, options.client.pool, event => this.#told(event))
    this.#seen(options.view)
    this.#later()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#events.unsubscribe()
    process.off('SIGINT', this.#end).off('SIGTERM', this.#end).off('SIGHUP', this.#end)
    this.#screen.close()
  }

  #press(key: string): void {
    if (key === 'q' || key === '\u0003') this.#end()
    else if (key === '\u001b[A') this.#move(-1)
    else if (key === '\u001b[B') this.#move(1)
  }

  #move(by: number): void {
    const last = Math.max(0, this.#view.status.features.length - 1)
    this.#from = Math.max(0, Math.min(last, this.#from + by))
    this.#draw()
  }

  /** All servers tell the same change, and all that notice one is gone: the leader's word, and the first, will do. */
  #told(event: PoolEvent): void {
    if (event.type === 'sync' && !event.event.leader) return
    if (event.type === 'gone') {
      if (this.#gone.has(event.event.server)) return
      this.#gone.add(event.event.server)
    } else if (event.type === 'server' && event.event.event === 'started') {
      this.#gone.delete(event.event.server)
    }
    const before = this.#news.id
    this.#news.told(event)
    if (this.#news.id > before) this.#draw()
  }

  #later(): void {
    if (this.#isClosed) return
    this.#timer = systemClock.after(this.#options.everyMs, () => {
      this.#later()
      // An answer that is slow is waited for, not asked for twice; how old the last one is goes on.
      if (this.#isAsking) this.#draw()
      else void this.#look()
    })
  }

  async #look(): Promise<void> {
    const { client, feature } = this.#options
    this.#isAsking = true
    try {
      this.#seen(await viewFeature(client, feature))
      this.#trouble = undefined
    } catch (error) {
      // Nobody answers just now, or the feature is gone: what was seen last stays.
      this.#trouble = error instanceof LicdError ? error.message : String(error)
      this.#draw()
    } finally {
      this.#isAsking = false
    }
  }

  #seen(view: PoolView): void {
    this.#view = view
    this.#answeredAt = systemClock.now()
    const { leader, servers } = view.status
    this.#news.look(leader, new Map(servers.map(({ name, state }) => [name, state])))
    this.#draw()
  }

  #draw(): void {
    if (this.#isClosed) return
    const agoMs = systemClock.now() - this.#answeredAt
    const why = this.#trouble ?? 'No server answers.'
    const trouble = `This is from ${formatDuration(agoMs)} ago. ${why}`
    this.#screen.draw(
      topFrame({
        view: this.#view,
        events: this.#news
          .after(0)
          .map(({ at, text }) => `${new Date(at).toTimeString().slice(0, 8)} ${text}`),
        ...(agoMs > troubleMs + this.#options.everyMs ? { trouble } : {}),
        from: this.#from,
        width: this.#screen.width,
        height: this.#screen.height,
        keys,
        paint: paintOf(this.#options.program),
      }),
    )
  }
}
