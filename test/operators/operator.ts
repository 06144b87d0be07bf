/** An operator of a pool of processes: `licd ctl`, run in this process for speed. */
import { call, type Called } from '../cmd/in-process.ts'
import { connectNats } from '../../raft/index.ts'
import type { ProcessPool } from '../pool-processes.ts'
import { PoolWatch } from '../pool-watch.ts'

/** What `licd ctl servers --json` prints. */
export interface Servers {
  readonly leader?: string
  readonly settled: boolean
  readonly heldTicks: number
  readonly servers: readonly {
    readonly name: string
    readonly role: string
    readonly member: string
    readonly state: string
    readonly share: number
    readonly lag?: number
    readonly trust?: string
  }[]
}

export class Operator {
  readonly #pool: ProcessPool

  constructor(pool: ProcessPool) {
    this.#pool = pool
  }

  /** A command and how it ended: exit code, or the code of its error. */
  try(...args: readonly string[]): Promise<Called> {
    return call(['ctl', ...args, '--json', '--nats', this.#pool.nats.url])
  }

  async ctl<T = unknown>(...args: readonly string[]): Promise<T> {
    const { code, stdout, message } = await this.try(...args)
    if (code !== 0) throw new Error(`ctl ${args.join(' ')}: ${String(code)}: ${message}`)
    return JSON.parse(stdout) as T
  }

  servers(): Promise<Servers> {
    return this.ctl<Servers>('servers')
  }

  /** `alpha voter voter, ...`: what each is and shall be. */
  async shown(): Promise<string> {
    const { servers } = await this.servers()
    return servers.map(({ name, member, role }) => `${name} ${member} ${role}`).join(', ')
  }

  async leader(): Promise<string> {
    const { leader } = await this.servers()
    return leader ?? ''
  }

  /** Asks until it is so; servers that start or stop may not answer for a while. */
  until(isSo: (servers: Servers) => boolean): Promise<Servers> {
    return this.untilOf('servers', isSo)
  }

  /** Asks `ctl COMMAND`, again after whatever the pool says, until it is so. */
  async untilOf<T>(command: string, isSo: (answer: T) => boolean): Promise<T> {
    const { nats } = this.#pool
    const bus = await connectNats({ servers: nats.url, name: 'test' })
    const watch = new PoolWatch(bus)
    this.#pool.onOutput = watch.happen
    let last = ''
    const look = async (): Promise<T | undefined> => {
      const { code, stdout, message } = await this.try(command)
      last = stdout + message
      if (code !== 0) return undefined
      const answer = JSON.parse(stdout) as T
      return isSo(answer) ? answer : undefined
    }
    try {
      return await watch.until('what was waited for', look, () => last)
    } finally {
      this.#pool.onOutput = () => {}
      await bus.close()
    }
  }
}
