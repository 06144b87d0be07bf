/**
 * A fresh machine to a pool of three servers with TLS, a signed code and a seat taken: the commands of
 * docs/first-pool.md, typed into a shell as they stand there, each timed.
 *
 * In a network of its own where the machine allows that, so that the ports of the page are free; else addresses with
 * other ports take the place of those on the page.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { findNatsServer, watchParent } from '../../lib/nats-server.ts'
import { freeAddress } from './secure-pool.ts'

t.setTimeout(600_000)

const page = readFileSync('docs/first-pool.md', 'utf8')
const commands = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, block = '']) =>
  block.replaceAll('\\\n', ' ').trim().split('\n'),
)
/** A network and processes of their own, which end with the shell. */
const ways = [[], ['--user', '--map-root-user']].map(more => [
  ...['unshare', ...more, '--net', '--pid', '--fork', '--kill-child', '--mount-proc'],
])

interface Ran {
  readonly code: number
  readonly output: string
  readonly ms: number
}

/** One shell for all commands, as at a terminal. */
class Shell {
  readonly #child: ChildProcess
  #output = ''
  #look: () => void = () => {}
  #count = 0

  constructor(prefix: readonly string[], env: Readonly<Record<string, string>>, cwd: string) {
    const [program = '', ...args] = [...prefix, 'bash', '--norc']
    this.#child = spawn(program, args, {
      cwd,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
      this.#look()
    })
    // Killed, this test leaves no shell behind, nor its servers.
    const watcher = watchParent(this.#child.pid)
    this.#child.once('close', () => {
      watcher?.kill('SIGKILL')
      this.#look()
    })
  }

  async type(command: string): Promise<Ran> {
    const mark = `-- ${++this.#count} ended with`
    const begun = performance.now()
    const from = this.#output.length
    this.#child.stdin?.write(`${command}\necho "${mark} $?"\n`)
    return await new Promise((resolve, reject) => {
      this.#look = () => {
        const said = this.#output.slice(from)
        const found = new RegExp(`^${mark} (\\d+)$`, 'm').exec(said)
        if (found !== null) {
          const ms = performance.now() - begun
          resolve({ code: Number(found[1]), output: said.slice(0, found.index), ms })
        } else if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
          reject(new Error(`the shell ended: ${said}`))
        }
      }
      this.#look()
    })
  }

  /** Ends it with all that it started. */
  async end(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    const closed = once(this.#child, 'close')
    process.kill(-pid, 'SIGKILL')
    await closed
  }
}

t.test('docs/first-pool.md, typed', async t => {
  t.ok(commands.length > 10)
  const folder = t.testdir({ bin: {}, home: {} })
  const program = fileURLToPath(new URL('../../cmd/start.cjs', import.meta.url))
  const licd = join(folder, 'bin', 'licd')
  writeFileSync(licd, `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`)
  chmodSync(licd, 0o755)
  const way = ways.find(([word = '', ...args]) => {
    const tried = spawnSync(word, [...args, 'ip', 'link', 'set', 'lo', 'up'])
    return tried.status === 0
  })
  const work = join(folder, 'home')
  mkdirSync(work, { recursive: true })
  const PATH = `${join(folder, 'bin')}:${dirname(process.execPath)}:${process.env.PATH ?? ''}`
  const env = { PATH, HOME: work, LICD_NATS_SERVER: findNatsServer() ?? '' }
  const shell = new Shell(way ?? [], env, work)
  t.teardown(() => shell.end())
  if (way !== undefined) t.equal((await shell.type('ip link set lo up')).code, 0)
  t.comment(way === undefined ? 'on other ports: no network of its own here' : way.join(' '))

  const places = new Map<string, string>()
  let output = ''
  let totalMs = 0
  for (const printed of commands) {
    let command = printed
    if (way === undefined) {
      for (const [address] of printed.matchAll(/127\.0\.0\.[123]/g)) {
        if (!places.has(address)) places.set(address, await freeAddress())
        command = command.replace(address, places.get(address) ?? '')
      }
    }
    const ran = await shell.type(command)
    t.equal(ran.code, 0, `${printed}\n${ran.output}`)
    output += ran.output
    totalMs += ran.ms
    t.comment(`${(ran.ms / 1000).toFixed(1).padStart(6)} s  ${printed}`)
    if (ran.code !== 0) return
  }
  t.comment(`${(totalMs / 1000).toFixed(1).padStart(6)} s  in all, ${commands.length} lines`)
  t.match(output, /^keep safe +\S+pool\.join/m, 'a pool with TLS')
  t.match(output, /added: 6 of cad@2026/, 'a signed code')
  t.match(output, /^with seat [\w-]{22}$/m, 'a seat')
  t.match(output, /add-code .*6 of cad@2026 by Acme Ltd/, 'and it stands in the audit log')
  t.notMatch(output, /FAILURE/, 'the doctor finds nothing wrong')
})
