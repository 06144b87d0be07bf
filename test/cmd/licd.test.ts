import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startNatsServer } from '../nats-server.ts'
import { call } from './in-process.ts'
import { licd, startLicd, type Ended } from './licd-process.ts'

// Each process is half a second of work, and more on a machine that has other work.
t.setTimeout(180_000)

const nowhere = ['--nats', 'nats://127.0.0.1:1']

/** One line, `licd: CODE: message`, and nothing else. */
function isErrorLine({ stderr }: Ended, code: string): boolean {
  return stderr.startsWith(`licd: ${code}: `) && stderr.indexOf('\n') === stderr.length - 1
}

t.test('exit codes, and one line that says why', async t => {
  const folder = t.testdir({ empty: {}, 'bad.json': '{"nope": 1}' })
  const cases: [string[], number, string][] = [
    [['ctl', 'status', ...nowhere], 3, 'LICD_NATS_UNREACHABLE'],
    [['run', '--feature', 'cad', ...nowhere, '--', 'true'], 3, 'LICD_NATS_UNREACHABLE'],
    [['ctl', 'status', '--nope'], 2, 'LICD_USAGE'],
    [['ctl', 'status', '--config', join(folder, 'bad.json')], 2, 'LICD_BAD_CONFIG'],
    [['serve', '--data', join(folder, 'empty'), ...nowhere], 5, 'LICD_NOT_INITIALISED'],
    [['serve', '--data', join(folder, 'none'), ...nowhere], 5, 'LICD_NOT_INITIALISED'],
  ]
  const all = await Promise.all(cases.map(([args]) => licd(args)))
  for (const [index, [args, code, error]] of cases.entries()) {
    const ended = all[index]
    const name = `licd ${args.slice(0, 3).join(' ')}`
    t.equal(ended?.code, code, name)
    t.ok(ended !== undefined && isErrorLine(ended, error), `${name}: ${ended?.stderr ?? ''}`)
    t.equal(ended?.stdout, '', `${name}: standard output is for results`)
  }
})

t.test('help, version and completion go to standard output', async t => {
  const [help, version, script, words] = await Promise.all([
    licd(['--help']),
    licd(['--version']),
    licd(['completion'], { env: { SHELL: '/bin/bash' } }),
    licd(['--get-yargs-completions', 'licd', 'ctl', 'cr']),
  ])
  t.match(help, { code: 0, stderr: '', stdout: /Exit codes:/ })
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  t.match(script, { code: 0, stdout: /complete -o .*-F _licd_yargs_completions licd/ })
  t.match(words, { code: 0, stdout: /^criteria$/m })
})

t.test('a vendor\u2019s day: keys, codes, and what is wrong with them', async t => {
  const folder = t.testdir()
  const at = (name: string) => join(folder, name)
  const made = await call(['vendor', 'keygen', 'Acme Ltd', '--out', folder, '--json'])
  t.match(JSON.parse(made.stdout), { name: 'Acme Ltd', privateFile: at('acme-ltd.key.json') })
  t.equal((await stat(at('acme-ltd.key.json'))).mode & 0o777, 0o600)
  t.equal((await call(['vendor', 'keygen', 'Acme Ltd', '--out', folder])).code, 'LICD_BAD_KEY')

  const sign = (...args: string[]) =>
    call([
      ...['vendor', 'sign', '--key', at('acme-ltd.key.json'), '--fingerprint', 'fp'],
      ...['--customer', 'Car Co', '--feature', 'cad@2026', ...args],
    ])
  const year = ['--start', '2026-01-01', '--expires', '2027-01-01']
  const signed = await sign('--allocations', '25', '--id', 'c-1', ...year)
  t.equal(signed.code, 0, signed.message)
  // As mail would break it.
  const file = at('code.txt')
  await writeFile(file, signed.stdout.replaceAll(/.{70}/g, '$&\n'))

  const inspected = await call(['vendor', 'inspect', file, '--json'])
  t.match(JSON.parse(inspected.stdout), {
    verified: false,
    codeId: 'c-1',
    feature: 'cad@2026',
    allocations: 25,
    startsAt: Date.UTC(2026, 0, 1),
    expiresAt: Date.UTC(2027, 0, 1),
  })
  const shown = await licd(['vendor', 'inspect', '-'], { input: signed.stdout })
  t.match(shown, { code: 0, stdout: /cad@2026/, stderr: /not verified/ })

  const verify = (...args: string[]) =>
    call([
      ...['vendor', 'verify', file, '--vendor', at('acme-ltd.pub.json')],
      ...['--fingerprint', 'fp', '--at', ...args],
    ])
  t.match(await verify('2026-06-01'), { code: 0, stdout: /^good: 25 of cad@2026 for Car Co/ })
  t.equal((await verify('2027-01-01')).code, 'LICD_CODE_EXPIRED')
  for (const [args, code] of [
    [['--allocations', '0'], 'LICD_USAGE'],
    [['--allocations', '1', '--expires', '2026-02-30'], 'LICD_USAGE'],
    [['--allocations', '1', '--expires', 'soon'], 'LICD_USAGE'],
    [['--allocations', '1', '--id', 'a b'], 'LICD_BAD_REQUEST'],
    [['--allocations', '1', '--expires', '0d'], 'LICD_BAD_REQUEST'],
  ] as const) {
    t.equal((await sign(...args)).code, code, args.join(' '))
  }
  await writeFile(file, 'x'.repeat(100_000))
  t.equal((await call(['vendor', 'inspect', file])).code, 'LICD_USAGE', 'far too large')
  await writeFile(file, 'no code')
  t.equal((await call(['vendor', 'inspect', file])).code, 'LICD_CODE_MALFORMED')
})

/** A running pool of one server, and ways to call `licd` on it. */
async function startPool(t: Test, tickMs: number) {
  const nats = await startNatsServer()
  t.teardown(() => nats.stop())
  const folder = t.testdir()
  await mkdir(join(folder, 'pool'))
  const env = { LICD_NATS: nats.url }
  const run = (line: string) => call(line.split(' '), { env })
  const init = `init --servers solo --out ${folder}/pool --tick-ms ${tickMs} --lease-ticks 40 --json`
  const { fingerprint } = JSON.parse((await run(init)).stdout) as { fingerprint: string }
  const serve = ['serve', '--data', `${folder}/pool/solo`, '--log-level', 'silent']
  const start = () => {
    const server = startLicd(serve, { env })
    t.teardown(() => server.child.kill('SIGKILL'))
    return server
  }
  return { env, folder, fingerprint, init, serve, start, run }
}
type Pool = Awaited<ReturnType<typeof startPool>>

async function readJson(pool: Pool, line: string): Promise<Record<string, unknown>> {
  const { stdout, message } = await pool.run(`${line} --json`)
  if (message !== '') throw new Error(`${line}: ${message}`)
  return JSON.parse(stdout) as Record<string, unknown>
}

t.test('a pool, from init to a clean stop', async t => {
  const pool = await startPool(t, 100)
  const { run, folder, env } = pool
  const json = (line: string) => readJson(pool, line)
  t.equal((await run(pool.init)).code, 'LICD_ALREADY_INITIALISED')
  t.equal((await run('ctl status')).code, 'LICD_NO_SERVER')

  const server = pool.start()
  await server.until(/^ready solo of default$/m)
  const second = await licd(pool.serve, { env })
  t.equal(second.code, 5)
  t.ok(isErrorLine(second, 'LICD_DATA_LOCKED'), second.stderr)

  await t.test('changes take effect once, and are told to whoever watches', async t => {
    let ready: (() => void) | undefined
    const watching = new Promise<void>(resolve => (ready = resolve))
    const watch = call(['ctl', 'watch', '--json', '--count', '2'], { env, onNote: () => ready?.() })
    await watching
    t.match(await run('ctl feature add cad 3 --local --id add-cad'), { code: 0, stdout: /has 3/ })
    t.match(await json('ctl outcome add-cad'), { outcome: 'applied' })
    t.equal((await run('ctl outcome never')).code, 4)
    t.match(await run('ctl feature add cad 3 --local --id add-cad'), { stdout: /as done before/ })
    t.equal((await run('ctl feature add cad 3 --local')).code, 'LICD_FEATURE_EXISTS')
    t.equal((await run('ctl allocations add cad 2')).code, 0)
    t.equal((await run('ctl feature add tool@2026.1 2 --local')).code, 0, 'a version has dots')
    const events = (await watch).stdout.split('\n')
    t.equal(events.length, 2)
    t.match(JSON.parse(events[0] ?? ''), { type: 'sync', event: { server: 'solo' } })
  })

  await t.test('codes', async t => {
    await run(`vendor keygen Acme --out ${folder}`)
    const sign = async (fingerprint: string) => {
      const what = '--customer Me --feature sim --allocations 4'
      const line = `vendor sign --key ${folder}/acme.key.json --fingerprint ${fingerprint} ${what}`
      await writeFile(`${folder}/${fingerprint}.txt`, (await run(line)).stdout)
      return `ctl code add ${folder}/${fingerprint}.txt`
    }
    const add = await sign(pool.fingerprint)
    t.equal((await run(add)).code, 'LICD_CODE_UNTRUSTED')
    t.equal((await run(`ctl vendor add ${folder}/acme.key.json`)).code, 'LICD_BAD_KEY')
    t.equal((await run(`ctl vendor add ${folder}/acme.pub.json`)).code, 0)
    t.match(await json('ctl vendor list'), { vendors: [{ name: 'Acme' }] })
    t.match(await run(add), { code: 0, stdout: /4 of sim/ })
    t.equal((await run(add)).code, 'LICD_CODE_EXISTS')
    t.equal((await run(await sign('other'))).code, 'LICD_CODE_FOREIGN')
    t.equal((await run('ctl allocations add sim 1')).code, 'LICD_FEATURE_NOT_LOCAL')
    t.match(await json('ctl code list'), { codes: [{ feature: 'sim', state: 'active' }] })
    t.equal((await run('ctl code remove nope')).code, 'LICD_UNKNOWN_CODE')
  })

  await t.test('status and criteria', async t => {
    t.match(await json('ctl status'), {
      pool: 'default',
      leader: 'solo',
      servers: [{ name: 'solo', state: 'up', leader: true }],
      features: [
        { name: 'cad', allocations: 5 },
        { name: 'sim', vendor: 'Acme' },
        { name: 'tool@2026.1', allocations: 2 },
      ],
      live: ['solo'],
    })
    t.match(await run('ctl status'), { code: 0, stdout: /leader solo/ })
    t.match(await run('ctl servers'), { code: 0, stdout: /solo +up +leader/ })
    t.equal((await run('ctl status nope')).code, 'LICD_UNKNOWN_FEATURE')
    t.equal((await run('ctl status --server beta')).code, 'LICD_NO_SERVER')
    t.equal((await run('ctl criteria set cad beta=1')).code, 'LICD_UNKNOWN_SERVER')
    t.equal((await run('ctl criteria set cad solo=6')).code, 'LICD_TARGETS_TOO_LARGE')
    t.equal((await run('ctl criteria set cad solo=5 --threshold solo=0.5')).code, 0)
    t.match(await json('ctl criteria get cad'), {
      features: [{ targets: { solo: 5 }, thresholds: { solo: 0.5 } }],
    })
    t.equal((await run('ctl settings --seat-ticks 30')).code, 0)
    t.match(await json('ctl settings'), { tickMs: 100, leaseTicks: 40, seatTicks: 30 })
    t.match(await json('ctl transfer-leader solo'), { leader: 'solo' })
  })

  await t.test('run', t => testRun(t, pool))

  server.child.kill('SIGTERM')
  t.match(await server.ended, { code: 0, stderr: /SIGTERM: stopping/ })
  t.equal((await run('ctl status')).code, 'LICD_NO_SERVER')
})

async function testRun(t: Test, pool: Pool): Promise<void> {
  const { env, folder } = pool
  const start = (args: string, ...command: string[]) =>
    startLicd(['run', ...args.split(' '), '--', ...command], { env })
  const [passed, killed, missing, notRunnable, unknown] = await Promise.all([
    start('--feature cad', 'sh', '-c', 'echo "$LICD_SEAT"; exit 7').ended,
    start('--feature cad', 'sh', '-c', 'kill -9 $$').ended,
    start('--feature cad', '/nonexistent').ended,
    start('--feature cad', folder).ended,
    start('--feature nope', 'true').ended,
  ])
  t.match(passed, { code: 7, stdout: /^[\w/-]{10,}\n$/ })
  t.equal(killed.code, 137, 'as a shell has it')
  t.equal(missing.code, 127)
  t.equal(notRunnable.code, 126)
  t.ok(isErrorLine(unknown, 'LICD_UNKNOWN_FEATURE'), unknown.stderr)

  const script = 'trap "echo got; exit 3" USR1; echo up; while :; do sleep 0.05; done'
  const holder = start('--feature cad --count 5', 'sh', '-c', script)
  await holder.until(/^up$/m)
  t.match(await readJson(pool, 'ctl seats --feature cad'), { seats: { length: 5 } })
  const waiting = start('--feature cad --wait 60', 'echo', 'mine')
  const [refused, late] = await Promise.all([
    start('--feature cad', 'true').ended,
    start('--feature cad --wait 0.3', 'true').ended,
  ])
  t.match(refused, { code: 75, stderr: /^licd: LICD_NO_SEAT: / })
  t.match(late, { code: 75, stderr: /^licd: LICD_TIMEOUT: / })
  holder.child.kill('SIGUSR1')
  t.match(await holder.ended, { code: 3, stdout: /got/ })
  t.match(await waiting.ended, { code: 0, stdout: 'mine\n' })
  const { seats } = await readJson(pool, 'ctl seats --feature cad')
  t.strictSame(seats, [], 'all given back')
}

t.test('run - a command whose seat is lost is ended, or warned', async t => {
  const pool = await startPool(t, 100)
  const { env, folder } = pool
  const server = pool.start()
  await server.until(/^ready/m)
  await pool.run('ctl feature add cad 3 --local')
  const hold = (options: string, script: string) =>
    startLicd(['run', '--feature', 'cad', ...options.split(' '), '--', 'sh', '-c', script], { env })
  // Deaf to SIGTERM: only SIGKILL ends it. `exec`, so that no child of the shell outlives it.
  const deaf = hold('--lost-grace 0.2', 'trap "" TERM; echo up; exec sleep 60')
  const wait = `echo up; while [ ! -e ${folder}/go ]; do sleep 0.05; done; exit 4`
  const warned = hold('--on-lost warn', wait)
  await Promise.all([deaf.until(/^up$/m), warned.until(/^up$/m)])
  server.child.kill('SIGKILL')
  t.match(await deaf.ended, { code: 76, stderr: /ending sh/ })
  await warned.until(/licd: LICD_/)
  await writeFile(`${folder}/go`, '')
  t.equal((await warned.ended).code, 4)
})
