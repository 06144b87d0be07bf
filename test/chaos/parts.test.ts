/** Parts of a chaos run that others lean on: what cleans up, and the network where there are no namespaces. */
import { once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Janitor } from './janitor.ts'
import { Process, startOf } from './process.ts'
import { Proxies } from './proxies.ts'

t.setTimeout(120_000)

t.test(
  'the janitor ends what is left, stopped or not, and lets alone what was taken back',
  async t => {
    const janitor = new Janitor()
    const folder = mkdtempSync(join(tmpdir(), 'licd-janitor-'))
    const kept = mkdtempSync(join(tmpdir(), 'licd-janitor-'))
    janitor.add({ type: 'remove', path: folder })
    janitor.add({ type: 'remove', path: kept })()
    const command = ['/bin/sleep', '600']
    const runs = new Process({ janitor, prefix: [], command })
    const stopped = new Process({ janitor, prefix: [], command })
    stopped.signal('SIGSTOP')
    // As its number may be another's by then, a process is known by when it began as well.
    const second = new Janitor()
    const other = new Process({ janitor: second, prefix: [], command })
    janitor.add({ type: 'process', pid: other.pid, startedAt: '1' })
    t.equal(await janitor.finish(), '')
    t.equal((await runs.ended).signal, 'SIGKILL')
    t.equal((await stopped.ended).signal, 'SIGKILL')
    t.equal(startOf(runs.pid), undefined)
    t.notOk(existsSync(folder))
    t.ok(existsSync(kept))
    t.not(startOf(other.pid), undefined)
    other.signal('SIGKILL')
    await other.ended
    second.add({ type: 'remove', path: kept })
    await second.finish()
    t.equal(await second.finish(), '', 'twice does no harm')
    t.notOk(existsSync(kept))
  },
)

/** An echo where the broker of a host would listen, and a connection to it from another place. */
async function connected(network: Proxies, host: string, place: string) {
  const args = network.brokerArgs(host)
  const port = Number(args[args.indexOf('-p') + 1])
  const server = createServer(socket => socket.pipe(socket)).listen(port, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(network.urls(place, host)[0] ?? '')
  const socket = createConnection({ host: '127.0.0.1', port: Number(url.port) })
  await once(socket, 'connect')
  return { server, socket }
}

async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  const [data] = (await once(socket, 'data')) as [Buffer]
  return data.toString()
}

t.test(
  'proxies hold back what goes between places that are cut, and lose nothing of it',
  async t => {
    const layout = { hosts: ['a', 'b'], brokers: ['a', 'b'], sites: ['s'] }
    const network = await Proxies.make(layout)
    const far = await connected(network, 'a', 'b')
    const near = await connected(network, 'b', 's')
    t.equal(await echo(far.socket, 'one'), 'one')
    network.cut('a', 'b')
    let heard = ''
    far.socket.on('data', (data: Buffer) => (heard += data.toString()))
    far.socket.write('two')
    t.equal(await echo(near.socket, 'other'), 'other', 'others are not cut')
    t.equal(await echo(near.socket, 'again'), 'again')
    t.equal(heard, '')
    const healed = once(far.socket, 'data')
    network.mend('a', 'b')
    await healed
    t.equal(heard, 'two')

    network.isolate('b')
    const closed = once(far.socket, 'close')
    far.server.close()
    near.socket.write('three')
    network.rejoin('b')
    const [three] = (await once(near.socket, 'data')) as [Buffer]
    t.equal(three.toString(), 'three')
    await network.close()
    await closed
    for (const { server, socket } of [far, near]) {
      socket.destroy()
      server.close()
    }
  },
)
