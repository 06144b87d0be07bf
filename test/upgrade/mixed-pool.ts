/** A pool of processes whose servers may run different builds of the program. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageFolder } from '../../lib/nats-server.ts'
import { licd, startLicd, type Ended, type Running } from '../cmd/licd-process.ts'
import { startNatsServer, type TestNatsServer } from '../nats-server.ts'

/** A build of the program: its `start.cjs` (this one when absent), and what its `serve` is told besides. */
export interface Build {
  readonly name: string
  readonly program?: string
  readonly serve: readonly string[]
}

export const present: Build = { name: 'this build', serve: ['--http', 'off'] }

/** Builds the program as of a commit of this repository, in a new folder below `folder`. */
export function buildOf(commit: string, folder: string): Build {
  const root = packageFolder()
  const source = join(folder, `build-${commit}`)
  mkdirSync(source)
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 2 ** 30 })
  execFileSync('tar', ['-x'], { cwd: source, input: archive })
  givePackages(source, root)
  run(source, process.execPath, ['node_modules/ts7/bin/tsc', '-p', '.'])
  return buildIn(commit, source)
}

/**
 * The packages that its lock file names: those of `root` where that names the same, else installed, for a program of before
 * may import what this one no longer has.
 */
export function givePackages(
  source: string,
  root: string,
  install = (folder: string): void => run(folder, 'npm', ['ci', '--ignore-scripts']),
): void {
  const [then, now] = [source, root].map(folder => readFileSync(join(folder, 'package-lock.json')))
  if (now !== undefined && then?.equals(now)) {
    symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'))
  } else install(source)
}

/** What it says when it fails is for whoever waits for the build. */
function run(cwd: string, program: string, args: readonly string[]): void {
  execFileSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
}

/** One that was built before. Versions before HTTP know no `--http`. */
export function buildIn(name: string, source: string): Build {
  const program = join(source, 'dist', 'cmd', 'start.cjs')
  const help = execFileSync(process.execPath, [program, 'serve', '--help'], { encoding: 'utf8' })
  return { name, program, serve: help.includes('--http') ? ['--http', 'off'] : [] }
}

export class MixedPool implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'licd-upgrade-'))
  readonly servers: readonly string[]
  readonly nats: TestNatsServer
  readonly #running = new Map<string, Running>()

  private constructor(servers: readonly string[], nats: TestNatsServer) {
    this.servers = servers
    this.nats = nats
  }

  /** Nothing runs yet, and no folder is made. */
  static async open(servers = ['alpha', 'beta', 'gamma']): Promise<MixedPool> {
    return new MixedPool(servers, await startNatsServer())
  }

  at(...names: string[]): string {
    return join(this.folder, ...names)
  }

  /** Runs a command of a build that must do well; what it printed. */
  async run(build: Build, ...args: readonly string[]): Promise<string> {
    const env = { LICD_NATS: this.nats.url }
    const { program } = build
    const ran = await licd(args, { env, ...(program === undefined ? {} : { program }) })
    if (ran.code !== 0) throw new Error(`${build.name}: ${args.join(' ')}: ${ran.stderr}`)
    return ran.stdout
  }

  async ctl<T>(build: Build, ...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.run(build, 'ctl', ...args, '--timeout', '60', '--json')) as T
  }

  /** Starts a server and resolves when it serves. */
  async start(server: string, build: Build): Promise<void> {
    const { program } = build
    const args = ['serve', '--data', this.at(server), '--nats', this.nats.url, ...build.serve]
    const running = startLicd(args, program === undefined ? {} : { program })
    this.#running.set(server, running)
    await running.until(/^ready /m)
  }

  output(server: string): string {
    return this.#running.get(server)?.output() ?? ''
  }

  async stop(server: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended | undefined> {
    const running = this.#running.get(server)
    running?.child.kill(signal)
    this.#running.delete(server)
    return await running?.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.keys()].map(server => this.stop(server, 'SIGKILL')))
    await this.nats.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
