/** Those who watch a pool that loses a server: holders of seats, busy clients, an operator. */
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import type { Client, Seat } from '../lib/index.ts'
import { connectNats, systemClock, systemRandom } from '../raft/index.ts'

/** When each seat was confirmed at another server, and whether one was ever seen invalid. */
export class Moves {
  readonly all: Promise<number[]>
  invalidLooks = 0

  private constructor(seats: readonly Seat[]) {
    const timer = setInterval(() => {
      for (const { valid } of seats) if (!valid) this.invalidLooks++
    }, 2)
    this.all = Promise.all(
      seats.map(
        seat =>
          new Promise<number>(resolve => seat.once('moved', () => resolve(performance.now()))),
      ),
    ).finally(() => clearInterval(timer))
  }

  static watch(seats: readonly Seat[]): Moves {
    return new Moves(seats)
  }
}

/** One client of a server that acquires and releases without a pause. */
export class Traffic {
  readonly #client: Client
  #done = 0
  #failed = 0
  #gapMs = 0
  #isRunning = true

  private constructor(client: Client) {
    this.#client = client
  }

  static async start(client: Client): Promise<Traffic> {
    const traffic = new Traffic(client)
    await (await traffic.#client.acquire('busy', { timeout: 30_000 })).release()
    void traffic.#run()
    return traffic
  }

  async #run(): Promise<void> {
    let last = performance.now()
    while (this.#isRunning) {
      try {
        await (await this.#client.acquire('busy')).release()
        this.#done++
      } catch {
        this.#failed++
      }
      const now = performance.now()
      this.#gapMs = Math.max(this.#gapMs, now - last)
      last = now
    }
  }

  stop(): { readonly done: number; readonly failed: number; readonly gapMs: number } {
    this.#isRunning = false
    return { done: this.#done, failed: this.#failed, gapMs: this.#gapMs }
  }
}

/** Changes one at a time; each is waited for. */
export class Operator {
  readonly #ctl: CtlClient
  readonly close: () => Promise<void>

  private constructor(ctl: CtlClient, close: () => Promise<void>) {
    this.#ctl = ctl
    this.close = close
  }

  static async start(nats: readonly string[]): Promise<Operator> {
    const bus = await connectNats({ servers: nats, name: 'bench operator' })
    const ports = { bus, clock: systemClock, random: systemRandom }
    const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 30_000 })
    return new Operator(ctl, async () => {
      ctl.close()
      await bus.close()
    })
  }

  /** Makes a change; resolves with when it had taken effect. */
  async change(): Promise<number> {
    await this.#ctl.change('allocations-add', { feature: 'busy', count: 1 })
    return performance.now()
  }
}
