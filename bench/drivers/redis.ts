/**
 * Redis: a checkout as a script on one node, over one connection. Commands of one turn leave in one write, as its
 * better clients do it.
 */
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

export async function open(order: DriverOrder): Promise<Driver> {
  const url = new URL(order.address.urls[0] ?? '')
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
  await once(socket, 'connect')
  const sha = createHash('sha1').update(checkoutScript).digest('hex')
  const commands = Array.from({ length: order.inFlight }, (_, worker) => {
    const key = order.operation === 'one' ? 'one' : `f${workerNumber(order, worker)}`
    return command(['EVALSHA', sha, '1', key, allocations])
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
