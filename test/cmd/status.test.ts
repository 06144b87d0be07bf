/** What `licd ctl status` looks like: no line is longer than the terminal, and colours are for terminals alone. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { printStatus } from '../../cmd/ctl/status.ts'
import { wrap } from '../../cmd/table.ts'
import { WatchedPool } from '../watched-pool.ts'
import { captureProgram } from './in-process.ts'
import { feature, server, view, type Share } from './views.ts'

t.setTimeout(180_000)

const name = (n: number) => `${'server-of-a-long-name-in-a-rack'}${n}`

function longView() {
  const servers = [
    server(name(1), { leader: true }),
    server(name(2), { state: 'silent', listedTicksAgo: 6, downInTicks: 25 }),
    server(name(3), { state: 'down', incarnation: 1_000_000 }),
  ]
  const shares = servers.map(({ name }, n): Share => [name, 30_000, 20_000 + n, 30_000, n * 1_000])
  const kinds = ['expired', 'moved', 'relearning', 'silent', 'down', 'held', 'owed'] as const
  const long = feature(`${'cad-with-a-very-long-name-'.repeat(2)}@2026`, shares, {
    vendor: 'Some Vendor of Software, Ltd, of a Town with a Long Name',
    owed: 1_234,
    endsAt: 86_400_000,
    serves: Array.from({ length: 9 }, (_, n) => `other-feature-${n}`),
    limits: { seatMs: 60_000, leaseMs: 60_000 },
    dark: kinds.map(kind => ({
      kind,
      server: name(2),
      count: 12_345,
      firstInMs: 1,
      lastInMs: 9e6,
    })),
  })
  const shown = view(servers, [long])
  const health = { lateP50Ms: 1, lateP99Ms: 1, lateMaxMs: 1, longestStallMs: 1 }
  return {
    ...shown,
    status: {
      ...shown.status,
      ...{ pool: 'p'.repeat(32), leader: name(1), tick: 123_456_789, revision: 123_456_789 },
      ...{ heldTicks: 20, tickAgeMs: 50_000, leaseLeftMs: 10_000, fingerprint: 'f'.repeat(43) },
    },
    answeredBy: name(1),
    healthOf: {
      [name(1)]: { ...health, trust: 'full', differing: [name(2), name(3)] },
      [name(2)]: {
        ...health,
        trust: 'unknown',
        damage: `${'/a/path/without/spaces'.repeat(6)} is bad`,
        differing: [],
      },
    } as const,
  }
}

t.test('a server that has just said hello starts, in a new pool as in an old one', t => {
  const lineOf = (tick: number, change: Parameters<typeof server>[1]): string => {
    const program = captureProgram({ columns: 80 })
    const shown = view([server('alpha', { state: 'silent', ...change })], [])
    printStatus(program, { ...shown, status: { ...shown.status, tick } })
    const text = program.printed.join('\n')
    return text.split('\n').find(line => line.startsWith('alpha')) ?? ''
  }
  t.match(lineOf(0, { listedTicksAgo: 0 }), /^alpha +starting .* never$/)
  t.match(lineOf(700, { listedTicksAgo: 700 }), /^alpha +starting .* never$/)
  t.match(lineOf(700, { listedTicksAgo: 4 }), /^alpha +silent .* 4\.0 s ago$/)
  t.match(lineOf(0, { incarnation: 0, state: 'down' }), /^alpha +down .* never$/)
  t.end()
})

t.test('80 columns hold every line, whatever the names and figures', t => {
  const program = captureProgram({ columns: 80 })
  printStatus(program, longView())
  const lines = program.printed.flatMap(text => text.split('\n'))
  for (const line of lines) t.ok(line.length <= 80, `${line.length}: ${line}`)
  const text = lines.join(' ').replaceAll(/\s+/g, ' ')
  for (const said of [
    `leader ${name(1)}`,
    `${name(1)} has not heard from a leader for 50 s`,
    'restored or recovered: serves in 20 s',
    `the ledger of ${name(1)} differs from that of ${name(2)}, ${name(3)}: report it`,
    'serves other-feature-0, other-feature-1',
    '1234 owed, paid as seats end',
    'a code ends on 1970-01-02',
  ]) {
    t.ok(text.includes(said), `all of it is there: ${said}`)
  }
  t.match(text, /…\S*rack1 30000 20000 /, 'figures are whole, names are cut, but for their ends')
  t.match(text, / 12345 0\.0 s to 2 h expired: /)
  t.end()
})

t.test('elsewhere nothing is cut and nothing is broken', t => {
  const program = captureProgram()
  printStatus(program, longView())
  const lines = program.printed.flatMap(text => text.split('\n'))
  t.ok(lines.some(line => line.includes('/a/path/without/spaces'.repeat(6))))
  t.ok(lines.some(line => line.startsWith(`${'cad-with-a-very-long-name-'.repeat(2)}@2026  `)))
  t.end()
})

t.test('text is broken at spaces, and within a word only where it must', t => {
  t.same(wrap('one two three', undefined), ['one two three'])
  t.same(wrap('one two three', 13), ['one two three'])
  t.same(wrap('one two three', 9), ['one two', '  three'])
  t.same(wrap('12345678901234567890', 8), ['12345678', '  901234', '  567890'])
  t.same(wrap('a 12345678901234567890', 8), ['a', '  123456', '  789012', '  345678', '  90'])
  t.end()
})

const licd = fileURLToPath(new URL('../../cmd/start.cjs', import.meta.url))
const script = '/usr/bin/script'

/** What a terminal is written by `licd ctl status`, and a pipe. */
function output(env: Record<string, string>, isTerminal: boolean): Promise<string> {
  const command = `stty cols 80 2>/dev/null; exec '${process.execPath}' '${licd}' ctl status`
  const [program, args] = isTerminal
    ? [script, ['-qec', command, '/dev/null']]
    : ['/bin/sh', ['-c', command]]
  const { PATH = '' } = process.env
  const own = { PATH, HOME: '/nonexistent', TERM: 'xterm', SHELL: '/bin/sh', ...env }
  return new Promise((resolve, reject) => {
    execFile(program, args, { env: own }, (error, stdout) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${error.message}: ${stdout}`))
    })
  })
}

t.test(
  'colours on a terminal, unless NO_COLOR or TERM says otherwise, and never in a pipe',
  { skip: existsSync(script) ? false : `no ${script}` },
  async t => {
    await using pool = await WatchedPool.start({ servers: ['n'.repeat(32)] })
    await pool.processes.ctl(['feature', 'add', 'f'.repeat(40), '9', '--local'])
    const nats = { LICD_NATS: pool.processes.nats.url }
    const coloured = await output(nats, true)
    t.match(coloured, '\u001b[')
    const plain = coloured.replaceAll(/\u001b\[[0-9;]*m/g, '').split(/\r?\n/)
    t.ok(Math.max(...plain.map(line => line.length)) <= 80)
    t.match(plain.join('\n'), /MAY GRANT FOR/)
    t.notMatch(await output({ ...nats, NO_COLOR: '1' }, true), '\u001b[')
    t.notMatch(await output({ ...nats, TERM: 'dumb' }, true), '\u001b[')
    t.match(await output({ ...nats, NO_COLOR: '' }, true), '\u001b[', 'empty is not set')
    const piped = await output(nats, false)
    t.notMatch(piped, '\u001b[')
    t.match(piped, 'f'.repeat(40), 'whole')
  },
)
