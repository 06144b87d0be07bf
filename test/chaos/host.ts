/**
 * A host of a chaos run: a license server, its disk and its wall clock, and on most a broker.
 *
 * What can be done to it depends on the machine: a disk can be filled or frozen where there is the right to mount,
 * a wall clock set where libfaketime is.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Mount, type Kind } from '../../bench/disk-mount.ts'
import { findNatsServer } from '../../lib/nats-server.ts'
import type { Faketime } from './faketime.ts'
import { type HistoryWriter, now } from './history.ts'
import type { Janitor } from './janitor.ts'
import type { Network } from './network.ts'
import { Process } from './process.ts'
import { Service } from './service.ts'

const program = (build: string): string => join(build, 'cmd', 'start.cjs')
/** The build that this file is part of. */
export const ownBuild = fileURLToPath(new URL('../../', import.meta.url))

/** What stands in the way of a fault, or undefined. */
export interface Means {
  readonly disk: Kind | undefined
  readonly faketime: Faketime | undefined
}

export interface HostOptions {
  readonly name: string
  readonly folder: string
  readonly network: Network
  readonly janitor: Janitor
  readonly history: HistoryWriter
  readonly means: Means
  readonly hasBroker: boolean
  /** Folder of the build whose `licd` runs. */
  readonly build: string
}

const diskMegabytes = 64

export class Host {
  readonly name: string
  readonly broker: Service | undefined
  readonly server: Service
  readonly disk: Mount | undefined
  readonly #options: HostOptions
  readonly #forget: (() => void)[] = []

  /** `folder` has the server's own, as `licd init` made it. */
  constructor(options: HostOptions) {
    this.name = options.name
    this.#options = options
    this.disk = this.#makeDisk()
    this.setWall(0)
    this.broker = options.hasBroker ? this.#makeBroker() : undefined
    this.server = this.#makeServer()
  }

  #makeDisk(): Mount | undefined {
    const { means, folder, name, janitor } = this.#options
    if (means.disk === undefined) return undefined
    const path = join(folder, `disk-${name}`)
    mkdirSync(path, { recursive: true })
    this.#forget.push(janitor.add({ type: 'unmount', path }))
    const disk = Mount.make(means.disk, path, diskMegabytes)
    cpSync(join(folder, name), join(path, name), { recursive: true })
    rmSync(join(folder, name), { recursive: true })
    return disk
  }

  get #data(): string {
    return join(this.disk?.path ?? this.#options.folder, this.name)
  }

  #makeBroker(): Service {
    const { name, network, janitor } = this.#options
    return new Service({
      name: `broker ${name}`,
      ready: /Server is ready/,
      start: () => {
        const command = [findNatsServer() ?? 'nats-server', ...network.brokerArgs(name)]
        return new Process({ janitor, prefix: network.prefix(name), command })
      },
    })
  }

  #makeServer(): Service {
    const { name, network, janitor, history, build } = this.#options
    const urls = network.urls(name, name).join(',')
    const command = [
      process.execPath,
      program(build),
      'serve',
      '--data',
      this.#data,
      '--nats',
      urls,
    ]
    const line = { k: 'server', server: name } as const
    return new Service({
      name: `server ${name}`,
      ready: /^ready /m,
      start: () =>
        new Process({ janitor, prefix: network.prefix(name), command, env: this.#wallEnv() }),
      onReady: () => history.write({ ...line, t: now(), what: 'ready' }),
      onEnd: ({ code, signal }, expected, output) => {
        const last = output.trim().split('\n').slice(-2).join(' | ').slice(-600)
        const detail = `${signal ?? `exit ${String(code)}`}${expected ? '' : `: ${last}`}`
        history.write({ ...line, t: now(), what: 'ended', expected, detail })
      },
    })
  }

  get #wallFile(): string {
    return join(this.#options.folder, `wall-${this.name}`)
  }

  #wallEnv(): Record<string, string> {
    return this.#options.means.faketime?.env(this.#wallFile) ?? {}
  }

  /** Sets its wall clock so many seconds off. */
  setWall(seconds: number): void {
    writeFileSync(this.#wallFile, `${seconds < 0 ? '' : '+'}${seconds}\n`)
  }

  freeze(): () => void {
    const { disk } = this
    if (disk === undefined) return () => undefined
    const forget = this.#options.janitor.add({ type: 'thaw', path: disk.path })
    disk.freeze()
    return () => {
      disk.thaw()
      forget()
    }
  }

  /** After its processes have ended. */
  close(): void {
    this.disk?.remove()
    for (const forget of this.#forget) forget()
  }
}
