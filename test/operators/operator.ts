/** An operator of a pool of processes: `licd ctl`, run in this process for speed. */
import { call, type Called } from '../cmd/in-process.ts'
import type { ProcessPool } from '../pool-processes.ts'

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
  async until(isSo: (servers: Servers) => boolean): Promise<Servers> {
    let last = ''
    for (let n = 0; n < 300; n++) {
      const { code, stdout, message } = await this.try('servers')
      if (code === 0) {
        const servers = JSON.parse(stdout) as Servers
        if (isSo(servers)) return servers
      }
      last = stdout + message
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    throw new Error(`it never was: ${last}`)
  }
}
