/**
 * A client that shares no line with the SDK, written from docs/protocol.md in another language: it takes the only seat
 * of a real pool, keeps it while its server is killed, and gives it back.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { codes } from '../../lib/error.ts'
import { packageFolder } from '../../lib/nats-server.ts'
import { seatBounds } from '../../lib/protocol/seat.ts'
import { ProcessPool } from '../pool-processes.ts'

t.setTimeout(600_000)

const program = join(packageFolder(), 'deploy', 'client', 'seat.py')
const hasPython = spawnSync('python3', ['--version']).status === 0

interface Said {
  readonly event: string
  readonly server?: string
  readonly seat?: string
  readonly ms?: number
}

/** The program, told what to do, and what it says in turn. */
function startSeat(args: readonly string[]) {
  const child = spawn('python3', [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  const said: Said[] = []
  const awaited: ((line: Said) => void)[] = []
  let part = ''
  let wrong = ''
  child.stdin.on('error', () => undefined)
  child.stderr.setEncoding('utf8').on('data', (text: string) => (wrong += text))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (part + text).split('\n')
    part = lines.pop() ?? ''
    for (const line of lines) {
      const event = JSON.parse(line) as Said
      const next = awaited.shift()
      if (next === undefined) said.push(event)
      else next(event)
    }
  })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  return {
    child,
    ended,
    tell: (line: string) => void child.stdin.write(`${line}\n`),
    next: async (): Promise<Said> => {
      const first = said.shift()
      if (first !== undefined) return first
      const event = new Promise<Said>(resolve => awaited.push(resolve))
      const end = ended.then(code => ({ event: `ended with ${String(code)}: ${wrong}` }))
      return await Promise.race([event, end])
    },
  }
}

t.test('acquire, renew, fail over, release', { skip: !hasPython && 'no python3 here' }, async t => {
  // Leases and seats of a minute: what is tried here must not depend on how busy the machine is.
  const times = { tickMs: 200, leaseTicks: 300, seatTicks: 300 }
  await using pool = await ProcessPool.start(times)
  await pool.ctl(['feature', 'add', 'cad', '1', '--local'])
  const { host } = new URL(pool.nats.url)
  const seat = startSeat([host, 'default', 'cad'])
  t.teardown(() => void seat.child.kill('SIGKILL'))

  const granted = await seat.next()
  t.match(granted, { event: 'granted', seat: /^[0-9a-f]{32}$/ })
  const home = granted.server ?? ''
  seat.tell('renew')
  t.match(await seat.next(), { event: 'renewed', server: home })

  await pool.kill(home)
  seat.tell('renew')
  const moved = await seat.next()
  t.equal(moved.event, 'moved')
  t.not(moved.server, home)
  t.ok((moved.ms ?? 0) > 0, 'it was valid all the time, and is')
  const rest = pool.servers.filter(server => server !== home)
  const held = await pool.ctl<{ seats: readonly { seatId: string; server?: string }[] }>(
    ['seats'],
    moved.server,
  )
  t.match(held.seats, [{ seatId: granted.seat }], 'the same seat, with its allocation')

  seat.tell('renew')
  t.match(await seat.next(), { event: 'renewed', server: moved.server })
  seat.tell('release')
  t.match(await seat.next(), { event: 'released' })
  t.equal(await seat.ended, 0)
  for (const server of rest) t.match(await pool.ctl(['seats'], server), { seats: [] })
})

t.test('the page and the program are what they say', async t => {
  const page = readFileSync(join(packageFolder(), 'docs', 'protocol.md'), 'utf8')
  const named = new Set([...page.matchAll(/LICD_[A-Z_]+/g)].map(([code]) => code))
  for (const code of named) t.ok(Object.hasOwn(codes, code), code)
  const figure = (n: number) => n.toLocaleString('en')
  for (const bound of [
    'messageBytes',
    'items',
    'countMax',
    'seatsPerMessage',
    'waitMaxMs',
  ] as const) {
    t.ok(page.includes(figure(seatBounds[bound])), `${bound} ${figure(seatBounds[bound])}`)
  }
  const lines = readFileSync(program, 'utf8').trimEnd().split('\n')
  t.ok(lines.length < 150, `${lines.length} lines`)
  const imports = lines.filter(line => /^(import|from) /.test(line))
  t.same(imports, ['import json, os, secrets, select, socket, sys, time'], 'nothing to install')
})
