import t from 'tap'
import { codes } from '../../lib/error.ts'
import { exitCodeHelp, exitCodeOf, exitCodes } from '../../cmd/exit-code.ts'
import { commands } from '../../cmd/commands.ts'
import { commandsFor, createParser, readArguments } from '../../cmd/parser.ts'
import { harmless, harmlessLine } from '../../cmd/program.ts'
import { configFileOf, Settings } from '../../cmd/settings.ts'
import { formatDate, formatDuration, formatTable } from '../../cmd/table.ts'
import { writeVendorKey } from '../../lib/code/vendor-key.ts'
import { captureProgram } from './in-process.ts'

async function helpOf(command: readonly string[], program = captureProgram()): Promise<string> {
  let help = ''
  const parser = createParser(program, () => undefined, commands)
  await parser.parseAsync([...command, '--help'], {}, (_error, _argv, output) => {
    help = output
  })
  return help
}

/** The commands that a help lists, as words. */
function listed(help: string): string[][] {
  const [, section = ''] = help.split('Commands:\n')
  const lines = (section.split('\n\n')[0] ?? '').split('\n')
  return lines.flatMap(line => {
    const words = /^ {2}licd ((?:[a-z-]+ ?)+)/.exec(line)?.[1]?.trim().split(' ')
    return words === undefined ? [] : [words]
  })
}

t.test('every command has a help of 80 columns with examples', async t => {
  const seen: string[] = []
  const visit = async (command: string[]): Promise<void> => {
    const help = await helpOf(command)
    const name = `licd ${command.join(' ')}`
    seen.push(command.join(' '))
    t.match(help, /Examples:\n/, `${name}: examples`)
    const longest = Math.max(...help.split('\n').map(line => line.length))
    t.ok(longest <= 80, `${name}: ${longest} columns`)
    for (const below of listed(help)) {
      if (below[0] !== 'completion') await visit(below)
    }
  }
  await visit([])
  t.strictSame(
    seen.sort(),
    [
      '',
      'account',
      'account list',
      'account revoke',
      'account take',
      'credentials',
      'ctl',
      'ctl account',
      'ctl account list',
      'ctl account push',
      'ctl allocations',
      'ctl allocations add',
      'ctl audit',
      'ctl code',
      'ctl code add',
      'ctl code list',
      'ctl code remove',
      'ctl criteria',
      'ctl criteria get',
      'ctl criteria set',
      'ctl feature',
      'ctl feature add',
      'ctl key',
      'ctl key list',
      'ctl key use',
      'ctl operators',
      'ctl operators revoke',
      'ctl outcome',
      'ctl recover',
      'ctl seats',
      'ctl servers',
      'ctl servers add',
      'ctl servers demote',
      'ctl servers promote',
      'ctl servers remove',
      'ctl settings',
      'ctl snapshot',
      'ctl snapshot restore',
      'ctl snapshot save',
      'ctl snapshot show',
      'ctl status',
      'ctl top',
      'ctl transfer-leader',
      'ctl upgrade',
      'ctl usage',
      'ctl vendor',
      'ctl vendor add',
      'ctl vendor list',
      'ctl vendor revoke',
      'ctl watch',
      'ctl why',
      'dev',
      'doctor',
      'init',
      'join',
      'key',
      'key add',
      'key drop',
      'key list',
      'key make',
      'run',
      'serve',
      'vendor',
      'vendor certify',
      'vendor inspect',
      'vendor keygen',
      'vendor sign',
      'vendor verify',
    ],
    'and these are all of them',
  )
})

t.test('every exit code is in the help', async t => {
  for (const code of new Set(Object.values(exitCodes))) {
    t.match(exitCodeHelp, new RegExp(`(^|\\s)${code}(\\s|\\+n)`, 'm'), String(code))
  }
  const used = new Set(Object.keys(codes).map(code => exitCodeOf(code as keyof typeof codes)))
  t.notOk(used.has(0), 'no error looks like success')
})

t.test('a wrong command line is refused by name, before anything is done', async t => {
  const wrong: [string, RegExp][] = [
    ['', /Say what to do/],
    ['nope', /nope|mean/],
    ['ctl', /Say which: licd ctl --help/],
    ['ctl key', /Say which: licd ctl key --help/],
    ['key', /Say which: licd key --help/],
    ['ctl status --nope', /nope/],
    ['ctl top --every 0', /--every/],
    ['ctl top c.d', /no feature/],
    ['ctl status one two', /two/],
    ['ctl status --pool a --pool b', /--pool is given more than once/],
    ['ctl status --timeout soon', /--timeout needs a number/],
    ['ctl status --timeout 0', /above 0/],
    ['ctl status --timeout -1', /--timeout/],
    ['ctl status --pool a.b', /--pool/],
    ['ctl status --server any', /--server/],
    ['ctl feature add cad 3', /--local/],
    ['ctl feature add cad 0 --local', /<count>/],
    ['ctl feature add cad 2.5 --local', /<count>/],
    ['ctl feature add cad -1 --local', /count|1/],
    ['ctl feature add cad 1e3 --local', /<count>/],
    ['ctl feature add cad 1000000001 --local', /<count>/],
    ['ctl feature add c.d 3 --local', /no feature/],
    ['ctl feature add cad', /positional|arguments/],
    ['ctl allocations add cad many', /<count>/],
    ['ctl criteria set cad', /Say what to set/],
    ['ctl criteria set cad alpha', /server=figure/],
    ['ctl criteria set cad alpha=1 alpha=2', /twice/],
    ['ctl criteria set cad alpha=1 --even', /exclude/],
    ['ctl criteria set cad alpha=-1', /target/],
    ['ctl criteria set cad --threshold 0.5 --threshold 0.6', /more than once/],
    ['ctl criteria set cad --threshold', /threshold|arguments/],
    ['ctl settings --tick-ms 5', /--tick-ms/],
    ['ctl servers nope', /nope/],
    ['ctl servers add', /positional|arguments/],
    ['ctl servers add any', /no server name/],
    ['ctl servers remove a --within -1', /--within/],
    ['ctl snapshot restore f --out x', /key/],
    ['ctl recover', /data/],
    ['join any --key k --out x', /any/],
    ['join a --out x', /key/],
    ['ctl transfer-leader any', /server name/],
    ['ctl watch --count 0', /--count/],
    ['ctl seats --limit 0', /--limit/],
    ['init --out x', /servers/],
    ['init --servers a,b,a --out x', /twice/],
    ['init --servers a,,b --out x', /Server/],
    ['init --servers any --out x', /any/],
    ['init a.b --servers a --out x', /pool/],
    ['init --servers a --out x --lease-ticks 2', /--lease-ticks/],
    ['init --servers a --out x --lease-ticks 10 --seat-ticks 11', /--seat-ticks/],
    ['serve', /data/],
    ['serve --data x --log-level loud', /log-level/i],
    ['run --feature cad', /after --/],
    ['run -- true', /feature/],
    ['run --feature cad --on-lost pray -- true', /on-lost/i],
    ['run --feature cad --count 1001 -- true', /--count/],
    ['run --feature c*d -- true', /no feature/],
    ['run --feature cad --wait -5 -- true', /--wait/],
    ['vendor keygen', /positional|arguments/],
    ['vendor sign', /key/],
  ]
  for (const [line, message] of wrong) {
    const parser = createParser(captureProgram(), () => t.fail(`${line}: it ran`), commands)
    const args = line.split(' ').filter(word => word !== '')
    // Some of it yargs finds before it returns a promise.
    const parse = async () => parser.parseAsync(args)
    await t.rejects(parse, { code: 'LICD_USAGE', message }, `licd ${line}`)
  }
})

t.test('an id that begins as an option does is an id', async t => {
  const id = `-${'a'.repeat(42)}`
  const sign = ['vendor', 'sign', '--customer', 'Car', '--feature', 'cad', '--allocations', '1']
  const folder = t.testdir()
  const { privateFile } = await writeVendorKey('Acme', { folder, stem: 'acme' })
  const run = async (...args: string[]): Promise<string> => {
    const program = captureProgram()
    await createParser(program, () => undefined, commands).parseAsync(readArguments(args))
    return program.printed.join('\n')
  }
  for (const [how, given] of [
    ['as a word of its own', ['--fingerprint', id]],
    ['with =', [`--fingerprint=${id}`]],
  ] as const) {
    const code = await run(...sign, '--key', privateFile, ...given)
    const payload = Buffer.from(code.split('.')[1] ?? '', 'base64url').toString()
    t.match(JSON.parse(payload), { aud: id }, how)
  }
  // Read as an id, it is asked of a pool, which there is not.
  const revoke = ['ctl', 'vendor', 'revoke', id, '--yes', '--nats', 'nats://127.0.0.1:1']
  await t.rejects(run(...revoke), { code: 'LICD_NATS_UNREACHABLE' })
  t.same(readArguments(['run', '--', id]), ['run', '--', id], 'what follows -- is not looked at')
})

t.test('commands that are loaded alone are read as they are among all', async t => {
  for (const name of ['serve', 'run']) {
    const own = await commandsFor([name, '--help'])
    t.equal(own.length, 1, `${name} alone`)
    let help = ''
    const parser = createParser(captureProgram(), () => undefined, own)
    await parser.parseAsync([name, '--help'], {}, (_error, _argv, output) => void (help = output))
    t.equal(help, await helpOf([name]), `the help of ${name}`)
    t.ok(own[0] !== undefined && commands.includes(own[0]), `${name} is one of all`)
  }
  for (const args of [[], ['--help'], ['ctl', 'status'], ['--config', 'x', 'serve']]) {
    t.equal(await commandsFor(args), commands, `all for: ${args.join(' ')}`)
  }
})

t.test('thresholds out of range have their own code', async t => {
  for (const threshold of ['0', '1.5', 'x', 'alpha=0', 'alpha=101%']) {
    const parser = createParser(captureProgram(), () => t.fail('it ran'), commands)
    const args = ['ctl', 'criteria', 'set', 'cad', '--threshold', threshold]
    await t.rejects(parser.parseAsync(args), { code: 'LICD_BAD_THRESHOLD' }, threshold)
  }
})

t.test('settings - command line, environment, file, default, in this order', async t => {
  const folder = t.testdir({
    'good.json': JSON.stringify({ pool: 'of-file', timeout: 3 }),
    'unknown.json': JSON.stringify({ pol: 'x' }),
    'kind.json': JSON.stringify({ timeout: 'long' }),
    'list.json': '[]',
    'text.json': 'pool: x',
  })
  const file = `${folder}/good.json`
  t.strictSame(new Settings({}, undefined).find('pool'), undefined)
  t.strictSame(new Settings({}, file).find('pool')?.value, 'of-file')
  t.strictSame(new Settings({}, file).find('timeout')?.value, 3)
  t.strictSame(new Settings({ LICD_POOL: 'of-env' }, file).find('pool')?.value, 'of-env')
  t.strictSame(new Settings({ LICD_POOL: '' }, file).find('pool')?.value, 'of-file')
  t.strictSame(new Settings({ LICD_SEAT: 'x' }, undefined).find('seat'), undefined)
  t.match(
    await helpOf(['ctl', 'status'], captureProgram({ env: { LICD_POOL: 'p' } })),
    /from LICD_POOL/,
  )

  const badConfig = { code: 'LICD_BAD_CONFIG' }
  for (const name of ['unknown', 'list', 'text', 'missing']) {
    t.throws(() => new Settings({}, `${folder}/${name}.json`), badConfig, name)
  }
  t.throws(() => new Settings({}, `${folder}/kind.json`).find('timeout'), badConfig)
  t.throws(() => new Settings({ LICD_TIMEOUT: 'x' }, undefined).find('timeout'), badConfig)

  t.equal(configFileOf(['ctl', '--config', 'a'], {}), 'a')
  t.equal(configFileOf(['ctl', '--config=b'], { LICD_CONFIG: 'c' }), 'b')
  t.equal(configFileOf(['ctl'], { LICD_CONFIG: 'c' }), 'c')
  t.equal(configFileOf(['run', '--', '--config', 'd'], {}), undefined)
})

t.test('tables fit the terminal, and nothing is cut elsewhere', async t => {
  const columns = [{ title: 'NAME' }, { title: 'COUNT', right: true }]
  const long = 'x'.repeat(100)
  t.equal(
    formatTable(captureProgram(), columns, [
      ['alpha', 7],
      ['  b', 10],
    ]),
    ['NAME   COUNT', 'alpha      7', '  b       10'].join('\n'),
  )
  t.match(formatTable(captureProgram(), columns, [[long, 1]]), long)
  const narrow = formatTable(captureProgram({ columns: 80 }), columns, [[long, 1]])
  t.ok(narrow.split('\n').every(line => line.length <= 80))
  t.match(narrow, /…/)
  t.equal(formatTable(captureProgram(), columns, []), 'NAME  COUNT')
})

t.test('what comes from outside is harmless on a terminal', async t => {
  t.equal(harmless('a\u001b[2Jb\nc\u202ed'), 'a?[2Jb c?d')
  t.equal(harmlessLine('  a\n b'), '  a b')
  const text = formatTable(captureProgram(), [{ title: 'USER' }], [['\u001b]0;x\u0007']])
  t.notOk(text.includes('\u001b'))
})

t.test('durations and dates', async t => {
  t.strictSame(
    [0, 9_990, 59_000, 600_000, 7_200_000, 200_000_000].map(ms => formatDuration(ms)),
    ['0.0 s', '9.9 s', '59 s', '10 min', '2 h', '2 d'],
  )
  t.equal(formatDate(undefined), 'never')
  t.equal(formatDate(Date.UTC(2026, 11, 31)), '2026-12-31')
  t.equal(formatDate(Date.UTC(2026, 11, 31, 12, 30)), '2026-12-31T12:30Z')
  t.equal(formatDate(1e300), '?')
})
