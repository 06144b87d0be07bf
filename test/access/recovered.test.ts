/** A pool with TLS that goes on from one survivor: what `licd ctl recover` says to type for the others is enough. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { licd } from '../cmd/licd-process.ts'

t.setTimeout(120_000)

t.test('others get certificates and credentials as before', async t => {
  const folder = t.testdir()
  const servers = 'alpha=127.0.0.1:5222,beta=127.0.0.1:5322,gamma=127.0.0.1:5422'
  const made = await licd(['init', '--servers', servers, '--out', folder])
  t.match(made, { code: 0 }, made.stderr)
  const data = join(folder, 'alpha')
  const recovered = await licd(['ctl', 'recover', '--data', data, '--the-others-are-lost'])
  t.match(recovered, { code: 0 }, recovered.stderr)
  const [, line = ''] = /^for others +licd (.*)$/m.exec(recovered.stdout) ?? []
  const values: Readonly<Record<string, string>> = {
    'NAME=HOST': 'beta=127.0.0.1:5322',
    'pool.join': join(folder, 'pool.join'),
    FOLDER: join(folder, 'anew'),
  }
  const joined = await licd(line.split(' ').map(word => values[word] ?? word))
  t.match(joined, { code: 0, stdout: /beta of pool default is ready to join/ }, joined.stderr)
  for (const name of ['server.key', 'server.context', 'nats.conf']) {
    t.ok(existsSync(join(folder, 'anew', 'nats', name)), name)
  }
})
