/**
 * Client processes of one row and layout: forked once, each with its driver open, and measured again and again.
 *
 * All of them begin and end a measurement at the same moments of the clock they share.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Address, Layout, NamedProcess, Row } from './contender.ts'
import type { GeneratorOrder, GeneratorReply, Measured } from './generator.ts'
import { Histogram } from './histogram.ts'
import { used } from './machine.ts'

const generator = new URL('./generator.js', import.meta.url)
/** Before each measurement the loops run for so long unmeasured. */
const rampMs = 150
/** Until all processes have heard of it. */
const noticeMs = 50

/** What a measurement takes beyond the time it is told. */
export const unmeasuredSeconds = (rampMs + noticeMs) / 1000

/** One measurement of one row. */
export interface Sample {
  readonly perSecond: number
  readonly operations: number
  readonly latencies: Histogram
  readonly failures: Readonly<Record<string, number>>
  /** CPU microseconds an operation, of all client processes, and of each server process by name. */
  readonly clientMicros: number
  readonly serverMicros: Readonly<Record<string, number>>
  /** Of the largest client, and of each server process, when it ended. */
  readonly clientRssMiB: number
  readonly serverRssMiB: Readonly<Record<string, number>>
}

export class Fleet {
  readonly #children: readonly ChildProcess[]
  readonly #servers: () => readonly NamedProcess[]

  private constructor(children: readonly ChildProcess[], servers: () => readonly NamedProcess[]) {
    this.#children = children
    this.#servers = servers
  }

  static async open(options: {
    readonly row: Row
    readonly layout: Layout
    readonly address: Address
    readonly servers: () => readonly NamedProcess[]
    /** Arguments for Node itself, of the client processes. */
    readonly nodeArguments?: readonly string[]
  }): Promise<Fleet> {
    const { row, layout, address, servers, nodeArguments = [] } = options
    const { driver, operation } = row
    const { processes, inFlight } = layout
    const children = Array.from({ length: processes }, () =>
      fork(generator, { execArgv: [...process.execArgv, ...nodeArguments] }),
    )
    const fleet = new Fleet(children, servers)
    try {
      await fleet.#tell(number => {
        const order = { driver, operation, address, process: number, processes, inFlight }
        return { type: 'open', order }
      })
    } catch (error) {
      for (const child of children) child.kill('SIGKILL')
      throw error
    }
    return fleet
  }

  async measure(seconds: number): Promise<Sample> {
    const from = performance.timeOrigin + performance.now() + noticeMs + rampMs
    const until = from + seconds * 1000
    const servers = this.#servers()
    const charge = new Promise<ReturnType<typeof used>[]>(resolve => {
      setTimeout(() => resolve(servers.map(used)), noticeMs + rampMs)
    })
    const end = charge.then(
      () =>
        new Promise<ReturnType<typeof used>[]>(resolve => {
          setTimeout(() => resolve(servers.map(used)), seconds * 1000)
        }),
    )
    const replies = await this.#tell(() => ({ type: 'run', from, until }))
    const [before, after] = [await charge, await end]
    const measured = replies.flatMap(reply =>
      reply.measured === undefined ? [] : [reply.measured],
    )
    const operations = measured.reduce((sum, one) => sum + one.operations, 0)
    const perOperation = (cpuSeconds: number) => (cpuSeconds * 1e6) / Math.max(1, operations)
    const cpu = measured.reduce((sum, one) => sum + one.cpuSeconds, 0)
    const byName = (pick: (n: number) => number) => {
      const sums: Record<string, number> = {}
      for (const [n, { name }] of servers.entries()) sums[name] = (sums[name] ?? 0) + pick(n)
      return sums
    }
    return {
      perSecond: operations / seconds,
      operations,
      latencies: Histogram.of(...measured.map(one => one.latencies)),
      failures: sumFailures(measured),
      clientMicros: perOperation(cpu),
      serverMicros: byName(n =>
        perOperation((after[n]?.cpuSeconds ?? 0) - (before[n]?.cpuSeconds ?? 0)),
      ),
      clientRssMiB: Math.max(...measured.map(one => one.rssMiB)),
      serverRssMiB: byName(n => after[n]?.rssMiB ?? 0),
    }
  }

  /** Gives back what was taken; not measured. */
  async settle(): Promise<void> {
    await this.#tell(() => ({ type: 'settle' }))
  }

  async close(): Promise<void> {
    const ended = this.#children.map(child => once(child, 'exit'))
    const timer = setTimeout(() => this.#children.forEach(child => child.kill('SIGKILL')), 10_000)
    for (const child of this.#children) {
      if (child.connected) child.send({ type: 'close' } satisfies GeneratorOrder)
    }
    await Promise.all(ended)
    clearTimeout(timer)
  }

  async #tell(
    order: (number: number) => GeneratorOrder,
  ): Promise<(GeneratorReply & { ok: true })[]> {
    return await Promise.all(this.#children.map((child, number) => ask(child, order(number))))
  }
}

/** Rejects with what the process says, or when it ends. */
function ask(child: ChildProcess, order: GeneratorOrder): Promise<GeneratorReply & { ok: true }> {
  return new Promise((resolve, reject) => {
    const heard = (reply: GeneratorReply): void => {
      child.off('exit', ended)
      if (reply.ok) resolve(reply)
      else reject(new Error(reply.error))
    }
    const ended = (): void => {
      child.off('message', heard)
      reject(new Error('a client process ended'))
    }
    child.once('message', heard)
    child.once('exit', ended)
    child.send(order)
  })
}

function sumFailures(measured: readonly Measured[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const { failures } of measured) {
    for (const [name, count] of Object.entries(failures)) sum[name] = (sum[name] ?? 0) + count
  }
  return sum
}
