/**
 * What is in `deploy/` beside alerts and dashboard: as far as it can be checked without systemd, Docker and Kubernetes
 * running here. Each promise of docs/kubernetes.md and of the comments is looked up in the manifest.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { Settings } from '../cmd/settings.ts'
import { exitCodeOf, exitCodes } from '../cmd/exit-code.ts'
import { packageFolder } from '../lib/nats-server.ts'

t.setTimeout(120_000)
const root = packageFolder()
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8')
const analyze = ['/usr/bin/systemd-analyze', '/bin/systemd-analyze'].find(existsSync)

t.test('each file says what was checked, by what, and what was not run', t => {
  for (const [file, isRun] of [
    ['systemd/licd.service', false],
    ['systemd/licd.sysusers', false],
    ['docker/Dockerfile', false],
    ['kubernetes/licd.yaml', false],
    ['prometheus/licd.rules.yml', false],
    ['client/seat.py', true],
  ] as const) {
    const head = read('deploy', ...file.split('/'))
      .split('\n')
      .slice(0, 14)
      .join('\n')
    const [, by = ''] = /Checked[^]*?(test\/[\w./-]+\.test\.ts)/.exec(head) ?? []
    t.ok(existsSync(join(root, by || 'none')), `${file}: ${by}`)
    t.equal(/Not run: /.test(head), !isRun, file)
  }
  t.end()
})

t.test('the unit of systemd', async t => {
  const unit = read('deploy', 'systemd', 'licd.service')
  const of = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1]
  const never = (of('RestartPreventExitStatus') ?? '').split(' ').map(Number)
  t.strictSame(never, [exitCodes.usage, exitCodes.data])
  t.ok(
    never.includes(exitCodeOf('LICD_BAD_CONFIG')) && never.includes(exitCodeOf('LICD_OLD_EPOCH')),
  )
  t.notOk(
    never.includes(exitCodeOf('LICD_DIVERGED')),
    'a server that is taught anew is started again',
  )
  t.equal(
    of('Restart'),
    'on-failure',
    'one that was taken out of the pool ends with 0, and stays so',
  )
  t.equal(of('KillSignal'), 'SIGTERM')
  t.equal(of('KillMode'), 'mixed', 'its nats-server goes on while it hands over')
  const stopMs = Number(
    /const stopMs = ([\d_]+)/.exec(read('lib/server/server.ts'))?.[1]?.replace('_', ''),
  )
  t.ok(stopMs > 0 && Number(of('TimeoutStopSec')) * 1000 > 2 * stopMs)
  t.match(of('ExecReload'), /-HUP \$MAINPID$/)

  const file = join(root, 'deploy', 'systemd', 'licd.json')
  t.match(of('ExecStart'), /^licd serve --config \/etc\/licd\/licd\.json$/)
  const settings = new Settings({}, file)
  settings.check()
  t.equal(settings.find('data')?.value, `/var/lib/${of('StateDirectory') ?? ''}`)
  t.match(read('deploy', 'systemd', 'licd.sysusers'), new RegExp(`^u +${of('User') ?? ''} `, 'm'))
})

t.test(
  'systemd itself reads the unit',
  { skip: analyze === undefined ? 'no systemd-analyze: apt-get install systemd' : false },
  async t => {
    // The program is elsewhere here: any that is there will do.
    const unit = read('deploy', 'systemd', 'licd.service').replace(
      'ExecStart=licd',
      'ExecStart=/bin/true',
    )
    const folder = t.testdir({ 'licd.service': unit })
    const run = (...args: string[]) =>
      promisify(execFile)(analyze ?? '', args).catch(
        (error: { stdout: string; stderr: string }) => error,
      )
    const path = join(folder, 'licd.service')
    const verified = await run('verify', '--man=no', path)
    const said = verified.stderr.split('\n').filter(line => line.includes('licd.service'))
    t.strictSame(said, [], 'nothing is unknown or wrong')
    const security = await run('security', '--offline=true', '--no-pager', path)
    const exposure = Number(
      /Overall exposure level for licd\.service: ([\d.]+)/.exec(security.stdout)?.[1],
    )
    t.ok(exposure > 0 && exposure < 2, `exposure ${exposure} of 10`)
    t.comment(`exposure ${exposure} of 10`)
  },
)

t.test('the Dockerfile', async t => {
  const text = read('deploy', 'docker', 'Dockerfile')
  const steps = text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const [, word = '', rest = ''] = /^([A-Z]+) +(.*)$/.exec(line) ?? []
      t.not(word, '', line)
      return { word, rest }
    })
  const all = (word: string) => steps.filter(step => step.word === word).map(({ rest }) => rest)
  const ignored = read('deploy', 'docker', 'Dockerfile.dockerignore').split('\n')
  const local = all('COPY').filter(rest => !rest.startsWith('--from'))
  for (const source of local.flatMap(rest => rest.split(/ +/).slice(0, -1))) {
    t.ok(existsSync(join(root, source)), `${source} is there`)
    t.ok(ignored.includes(`!${source.split('/')[0] ?? ''}`), `${source} is not left out`)
  }
  t.ok(ignored.includes('*'), 'what is not named stays out')
  const [user = ''] = all('USER')
  t.match(user, /^[1-9]\d*:[1-9]\d*$/, 'a number, so that Kubernetes can tell that it is not root')
  t.ok(
    steps.findIndex(({ word }) => word === 'USER') >
      steps.findLastIndex(({ word }) => word === 'RUN'),
  )
  t.match(all('HEALTHCHECK')[0], /CMD \["node".*127\.0\.0\.1:4290\/readyz/)
  t.strictSame(all('ENTRYPOINT'), ['["licd"]'], 'no shell between signals and the program')
  t.strictSame(all('STOPSIGNAL'), ['SIGTERM'])
  t.equal(all('ADD').length, 0)
  t.ok(all('RUN').some(run => run.startsWith('npm ci')) && !text.includes('npm install'))
  const major = Number(/^FROM node:(\d+)/m.exec(text)?.[1])
  t.ok(major >= 20 && all('FROM').every(from => from.startsWith(`node:${major}-`)))
})

interface Container {
  readonly image: string
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
  readonly [probe: string]: unknown
}
interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec: Readonly<Record<string, unknown>>
}

t.test('the manifest for Kubernetes', async t => {
  const documents = parseAllDocuments(read('deploy', 'kubernetes', 'licd.yaml'), { strict: true })
  if (!Array.isArray(documents)) throw new Error('it is empty')
  for (const { errors, warnings } of documents) t.strictSame([...errors, ...warnings], [])
  const manifests = documents.map(document => document.toJS() as Manifest)
  const spec = <Spec>(kind: string): Spec => {
    const found = manifests.filter(manifest => manifest.kind === kind)
    t.equal(found.length, 1, kind)
    return found[0]?.spec as Spec
  }
  t.ok(manifests.every(({ metadata }) => metadata.namespace === 'licd'))
  const labels = { 'app.kubernetes.io/name': 'licd' }
  t.match(spec('Service'), { clusterIP: 'None', publishNotReadyAddresses: true, selector: labels })
  t.match(spec('PodDisruptionBudget'), { maxUnavailable: 1, selector: { matchLabels: labels } })
  t.match(spec('NetworkPolicy'), { policyTypes: ['Ingress'], podSelector: { matchLabels: labels } })
  const set = spec<{
    readonly template: {
      readonly metadata: object
      readonly spec: {
        readonly containers: readonly [Container]
        readonly initContainers: readonly [Container]
        readonly securityContext: object
        readonly volumes: readonly { readonly name: string }[]
        readonly terminationGracePeriodSeconds: number
      }
    }
    readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[]
  }>('StatefulSet')
  t.match(set, {
    ...{ replicas: 3, serviceName: 'licd', podManagementPolicy: 'Parallel' },
    ...{ updateStrategy: { type: 'RollingUpdate' }, selector: { matchLabels: labels } },
    template: { metadata: { labels } },
  })
  const pod = set.template.spec
  t.match(pod, {
    automountServiceAccountToken: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 10001,
      fsGroupChangePolicy: 'OnRootMismatch',
    },
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname' }],
      },
    },
  })
  t.ok(pod.terminationGracePeriodSeconds >= 30)
  t.match(read('deploy', 'docker', 'Dockerfile'), /^USER 10001:10001$/m, 'the same user')
  const secret = pod.volumes.find(({ name }) => name === 'seed')
  t.match(secret, { secret: { secretName: 'licd-seed', defaultMode: 0o400, optional: true } })

  const [licd] = pod.containers
  const [seed] = pod.initContainers
  for (const container of [licd, seed]) {
    t.strictSame(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const volumes = [
      ...pod.volumes.map(({ name }) => name),
      ...set.volumeClaimTemplates.map(({ metadata }) => metadata.name),
    ]
    for (const { name } of container.volumeMounts) t.ok(volumes.includes(name), name)
  }
  t.notOk(
    licd.volumeMounts.some(({ name }) => name === 'seed'),
    'a server has no secret but its own',
  )
  const ports = new Map(licd.ports?.map(({ name, containerPort }) => [name, containerPort]))
  t.strictSame(
    [...ports],
    [
      ['nats', 4222],
      ['routes', 6222],
      ['http', 4290],
    ],
  )
  for (const [probe, path] of [
    ['startupProbe', '/healthz'],
    ['livenessProbe', '/healthz'],
    ['readinessProbe', '/readyz'],
  ] as const) {
    t.match(licd[probe], { httpGet: { path, port: 'http' } })
  }
})

t.test('the init container fills an empty volume once, whole, and never a lost one', async t => {
  const [, script = ''] =
    /- -euc\n +- \|\n([^]*?)\n {10}securityContext/.exec(
      read('deploy', 'kubernetes', 'licd.yaml'),
    ) ?? []
  const folder = t.testdir({
    pool: { 'licd-0': { 'server.json': '{}', 'pool.key': 'KEY', raft: { db: { CURRENT: 'x' } } } },
    seed: {},
    volume: {},
  })
  const run = promisify(execFile)
  await run('tar', [
    '-czf',
    join(folder, 'seed', 'licd-0.tgz'),
    '-C',
    join(folder, 'pool'),
    'licd-0',
  ])
  const here = script
    .replaceAll('/var/lib/licd', join(folder, 'volume'))
    .replaceAll('/seed', join(folder, 'seed'))
  const start = (HOSTNAME: string) =>
    run('sh', ['-euc', here], { env: { PATH: process.env.PATH ?? '', HOSTNAME } }).then(
      () => 0,
      (error: { code: number }) => error.code,
    )
  t.equal(await start('licd-0'), 0)
  t.equal(readFileSync(join(folder, 'volume', 'data', 'pool.key'), 'utf8'), 'KEY')
  t.equal(await start('licd-0'), 0, 'again: nothing to do')
  await run('rm', ['-r', join(folder, 'volume', 'data'), join(folder, 'seed', 'licd-0.tgz')])
  t.equal(await start('licd-0'), 5)
  t.notOk(existsSync(join(folder, 'volume', 'data')))
})
