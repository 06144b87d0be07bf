/**
 * The child nats-server: found or named as missing, really there when it is said to be, gone when it must be.
 */
import { spawn } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import { join } from 'node:path'
import { connect } from 'nats'
import t from 'tap'
import { findNatsServer, readInfo, startNatsServer as start } from '../lib/nats-server.ts'
import { startNatsServer } from './nats-server.ts'

/** True while a process of this number exists. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test('answers when started, and is gone when stopped', async t => {
  const server = await startNatsServer()
  const nc = await connect({ servers: server.url })
  await nc.close()
  t.match(server.log(), /Server is ready/)
  t.ok(exists(server.pid))
  await Promise.all([server.stop(), server.stop()])
  t.notOk(exists(server.pid))
  await server.stop()
})

t.test('stops, kills and starts again on its port; a paused one is stopped too', async t => {
  const first = await startNatsServer()
  await first.kill()
  t.notOk(exists(first.pid))
  await using second = await first.restart()
  t.equal(second.port, first.port)
  await t.rejects(startNatsServer({ port: second.port }), {
    code: 'LICD_NATS_UNREACHABLE',
    message: /address already in use/,
  })
  second.pause()
  await second.stop()
  t.notOk(exists(second.pid))
})

t.test('ends with its parent, however that ends', async t => {
  const url = new URL('../lib/nats-server.js', import.meta.url).href
  const script = `
    import { startNatsServer } from '${url}'
    console.log((await startNatsServer()).port)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: unknown[] = await once(createInterface(parent.stdout), 'line')
  const port = Number(lines[0])
  const nc = await connect({ servers: `127.0.0.1:${port}`, reconnect: false })
  parent.kill('SIGKILL')
  // The end of the server is the end of this connection.
  await nc.closed()
  // A process that is being ended closes its sockets one by one: reset and refused are both right.
  await t.rejects(readInfo(port), { code: /^ECONNRE(FUSED|SET)$/ })
})

t.test('says what is wrong with a program that is no server', async t => {
  const folder = t.testdir({ dead: '#!/bin/sh\necho no luck >&2\nexit 3\n', mute: '', plain: '' })
  writeFileSync(join(folder, 'mute'), '#!/bin/sh\nexec sleep 60\n')
  for (const name of ['dead', 'mute']) chmodSync(join(folder, name), 0o755)
  await t.rejects(start({ program: join(folder, 'dead') }), {
    code: 'LICD_NATS_UNREACHABLE',
    message: /code 3.*no luck/,
  })
  await t.rejects(start({ program: join(folder, 'mute'), startMs: 100 }), {
    code: 'LICD_NATS_UNREACHABLE',
    message: /no answer within 100 ms/,
  })
  await t.rejects(start({ program: join(folder, 'absent') }), {
    code: 'LICD_NATS_UNREACHABLE',
    message: /ENOENT/,
  })
  t.throws(() => findNatsServer({ LICD_NATS_SERVER: join(folder, 'plain') }), {
    code: 'LICD_NATS_MISSING',
  })
  t.equal(findNatsServer({ LICD_NATS_SERVER: join(folder, 'dead') }), join(folder, 'dead'))
})

t.test('takes PATH before the usual folders', async t => {
  const folder = t.testdir({ bin: { 'nats-server': '' }, data: { 'nats-server': '' } })
  chmodSync(join(folder, 'bin', 'nats-server'), 0o755)
  const path = `:relative-folder-that-is-not:${folder}/data:${folder}/bin:/usr/bin`
  t.equal(findNatsServer({ PATH: path }), join(folder, 'bin', 'nats-server'))
})

t.test('is not fooled by another server at the port', async t => {
  const server = createServer((_, response) => void response.end('hello'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  server.on('connection', socket => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await t.rejects(readInfo(port), /no NATS server/)
})
