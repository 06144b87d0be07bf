/**
 * Redis: a checkout as a script on one node, over one connection. `client`: with the client that its makers give to Node, as
 * users have it. `bare`: no client at all; the commands of one turn, made ready before, leave in one write, and of a reply
 * no more is read than whether it is one. Nobody programs so; it shows what the server itself can do.
 */
import { createClient } from '@redis/client'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { createHash } from 'node:crypto'
import { workerNumber, type Driver, type DriverOrder } from '../contender.ts'

/** Takes an allocation if one is left; the number in use after it, or -1. */
export const checkoutScript = `
local used = redis.call('INCR', KEYS[1])
if used <= tonumber(ARGV[1]) then return used end
redis.call('DECR', KEYS[1])
return -1`
const allocations = '1000000000'

type Done = (failure?: string) => void

export function open(order: DriverOrder): Promise<Driver> {
  return order.operation === 'client' ? openClient(order) : openBare(order)
}

function keyOf(order: DriverOrder, worker: number): string {
  return `f${workerNumber(order, worker)}`
}

async function openClient(order: DriverOrder): Promise<Driver> {
  const client = createClient({ url: order.address.urls[0] ?? '' })
  await client.connect()
  const sha = await client.scriptLoad(checkoutScript)
  const keys = Array.from({ length: order.inFlight }, (_, worker) => keyOf(order, worker))
  return {
    run(worker, done) {
      client.evalSha(sha, { keys: [keys[worker] ?? ''], arguments: [allocations] }).then(
        left => done(left === -1 ? 'none left' : undefined),
        (error: unknown) => done(String(error)),
      )
    },
    close: () => client.close(),
  }
}

async function openBare(order: DriverOrder): Promise<Driver> {
  const url = new URL(order.address.urls[0] ?? '')
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
  await once(socket, 'connect')
  const sha = createHash('sha1').update(checkoutScript).digest('hex')
  const commands = Array.from({ length: order.inFlight }, (_, worker) => {
    return command(['EVALSHA', sha, '1', keyOf(order, worker), allocations])
  })
  const waiting: Done[] = []
  readReplies(socket, failure => waiting.shift()?.(failure))
  const send = sender(socket)
  await new Promise<void>((resolve, reject) => {
    waiting.push(failure => (failure === undefined ? resolve() : reject(new Error(failure))))
    send(command(['SCRIPT', 'LOAD', checkoutScript]))
  })
  return {
    run(worker, done) {
      waiting.push(done)
      send(commands[worker] ?? '')
    },
    async close() {
      socket.destroy()
    },
  }
}

function command(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function sender(socket: Socket): (command: string) => void {
  let batch = ''
  return text => {
    if (batch === '') {
      queueMicrotask(() => {
        socket.write(batch, 'latin1')
        batch = ''
      })
    }
    batch += text
  }
}

/** Tells of each reply: a failure, or that it was none. A bulk string (of SCRIPT LOAD) is two lines. */
function readReplies(socket: Socket, done: Done): void {
  let rest = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('$')) continue
      if (line.startsWith('-')) done(line)
      else if (line === ':-1') done('none left')
      else done()
    }
  })
}
