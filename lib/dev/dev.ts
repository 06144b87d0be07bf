/**
 * `licd dev`: a pool to look at. Runs a session with demo clients and shows it until told to stop.
 */
import { watchPool } from '../ctl/pool-events.ts'
import { viewPool } from '../ctl/pool-view.ts'
import { describe } from '../ctl/words.ts'
import type { PoolStatus } from '../protocol/ctl.ts'
import { Demand } from './demand.ts'
import { devFeature, devPool, devServers, Session, type SessionOptions } from './session.ts'
import type { Progress } from '../progress.ts'
import { Screen, type Terminal } from '../screen.ts'
import { withoutSecrets } from '../without-secrets.ts'
import { draw } from './view.ts'

export interface DevOptions extends Omit<SessionOptions, 'log' | 'onStep'> {
  /** Absent where there is no terminal: plain lines then. */
  readonly terminal?: Terminal
  readonly colours: boolean
  /** Lines for people, when there is no terminal; also the last words. */
  readonly print: (line: string) => void
  /** Where its start and its end say what they do. */
  readonly progress: Progress
  /** Ends the show. */
  readonly signal: AbortSignal
  /** How the program is called, for the hint of what to type in a second terminal. */
  readonly command: string
}

const refreshMs = 250
const summaryMs = 5_000
/** Events kept for the screen. */
const eventsMax = 200

/** Resolves when the show is over and nothing of it is left. */
export async function runDev(options: DevOptions): Promise<void> {
  const { print, terminal } = options
  print('Starting NATS, three license servers and a few clients ...')
  let show: Show | undefined
  await using session = await Session.start({
    ...options,
    // The servers' logs would fill the screen with what events say better; their end is told by event.
    log: () => undefined,
    onStep: what => options.progress.say(what),
  })
  options.progress.clear()
  if (options.signal.aborted) return
  print(`NATS: ${session.broker.name}`)
  print(`Data: ${session.folder}`)
  const demand = await Demand.start({
    nats: session.broker.url,
    pool: devPool,
    feature: devFeature,
    servers: devServers,
    busySeats: 15,
    idleSeats: 2,
    phaseMs: 15_000,
    stepMs: 400,
    say: text => show?.say(text),
  })
  try {
    show = new Show(session, demand, options)
    await show.run(terminal)
  } finally {
    options.progress.say('stopping the clients')
    await demand.stop()
    print('Stopping; nothing is left behind ...')
    options.progress.say('stopping the servers and NATS')
  }
}

class Show {
  readonly #session: Session
  readonly #demand: Demand
  readonly #options: DevOptions
  readonly #events: string[] = []
  readonly #hint: string
  readonly #missing = new Set<string>()
  #page: string | undefined
  #status: PoolStatus | undefined
  #isAsking = false
  #screen: Screen | undefined

  constructor(session: Session, demand: Demand, options: DevOptions) {
    this.#session = session
    this.#demand = demand
    this.#options = options
    this.#hint = `In a second terminal: ${options.command} ctl status --nats ${withoutSecrets(session.broker.url)}`
  }

  /** One line of what happened: on the screen, or printed. */
  say(text: string): void {
    const line = `${new Date().toTimeString().slice(0, 8)} ${text}`
    this.#events.push(line)
    if (this.#events.length > eventsMax) this.#events.shift()
    if (this.#screen === undefined) this.#options.print(line)
  }

  async run(terminal: Terminal | undefined): Promise<void> {
    const { signal } = this.#options
    const watch = watchPool(this.#session.bus, devPool, event => {
      if (event.type === 'sync') for (const line of describe(event.event)) this.say(line)
      else if (event.type === 'gone') this.#gone(event.event.server)
      else this.#told(event.event.server, event.event.event)
    })
    const ended = new AbortController()
    if (terminal === undefined) this.say(this.#hint)
    else this.#screen = new Screen(terminal, key => this.#press(key, ended))
    const timer = setInterval(() => this.#tick(), terminal === undefined ? summaryMs : refreshMs)
    try {
      await aborted(AbortSignal.any([signal, ended.signal]))
    } finally {
      clearInterval(timer)
      watch.unsubscribe()
      this.#screen?.close()
      this.#screen = undefined
    }
  }

  /** Every server that notices says so, and again while it lasts; once is enough. */
  #gone(server: string): void {
    if (this.#missing.has(server)) return
    this.#missing.add(server)
    this.say(`${server} answers no more`)
  }

  #told(server: string, event: string): void {
    if (event === 'started') this.#missing.delete(server)
    this.say(serverWords(server, event))
  }

  #press(key: string, ended: AbortController): void {
    if (key === 'q' || key === '\u0003') ended.abort()
    else if (key === 'k') void this.#kill()
    else if (key === 'r') void this.#restart()
  }

  async #kill(): Promise<void> {
    const leader = this.#status?.leader
    if (leader === undefined) {
      this.say('there is no leader to kill just now')
      return
    }
    this.say(`you killed ${leader}, the leader (kill -9)`)
    await this.#session.kill(leader)
  }

  async #restart(): Promise<void> {
    try {
      const server = await this.#session.restart()
      this.say(server === undefined ? 'no server to restart' : `${server} serves again`)
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error))
    }
  }

  /** Asks for the state of the pool and shows it; an answer that is slow is waited for, not asked for twice. */
  #tick(): void {
    this.#draw()
    if (this.#isAsking) return
    this.#isAsking = true
    viewPool(this.#session.ctl)
      .then(
        ({ status, httpOf }) => {
          this.#status = status
          this.#found(httpOf)
          if (this.#screen === undefined) for (const line of summary(status)) this.say(line)
        },
        () => {
          // Nobody answers for the moment; the last state stays on the screen.
        },
      )
      .finally(() => {
        this.#isAsking = false
        if (this.#screen === undefined) this.say(this.#demand.describe())
      })
  }

  /** The page of a server that runs; said once where there is no screen. */
  #found(httpOf: Readonly<Record<string, string>>): void {
    const isFirst = this.#page === undefined
    this.#page = Object.keys(httpOf)
      .sort()
      .filter(server => !this.#session.killed.has(server))
      .map(server => httpOf[server])[0]
    if (isFirst && this.#page !== undefined && this.#screen === undefined) {
      this.say(`Page: ${this.#page}`)
    }
  }

  #draw(): void {
    if (this.#screen === undefined) return
    this.#screen.draw(
      draw({
        status: this.#status,
        events: this.#events,
        killed: this.#session.killed,
        clients: this.#demand.describe(),
        hints: [...(this.#page === undefined ? [] : [`Page: ${this.#page}`]), this.#hint],
        width: Math.max(60, this.#screen.width),
        height: Math.max(16, this.#screen.height),
        colours: this.#options.colours,
      }),
    )
  }
}

function summary(status: PoolStatus): string[] {
  return status.features.map(feature => {
    const shares = feature.shares.map(({ server, inUse, share }) => `${server} ${inUse}/${share}`)
    const { name, allocations, free } = feature
    return `${name}: in use/share ${shares.join('  ')}  free pool ${free} of ${allocations}  leader ${status.leader ?? 'none'}`
  })
}

function serverWords(server: string, event: string): string {
  switch (event) {
    case 'leader':
      return `${server} is the leader server now`
    case 'follower':
      return `${server} follows`
    case 'lease':
      return `${server} may grant (lease)`
    case 'lease-lost':
      return `${server} may not grant (lease over)`
    default:
      return `${server} ${event}`
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
