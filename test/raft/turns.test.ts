/** One socket that always has more to read leaves others and timers their turn. */
import { Readable } from 'node:stream'
import t from 'tap'
import { takeTurns } from '../../raft/turns.ts'

const chunkBytes = 1024
const chunks = 1_000
const total = chunks * chunkBytes

/** It always has the next chunk at once. */
function flood(): Readable {
  let sent = 0
  return new Readable({
    highWaterMark: chunkBytes,
    read() {
      this.push(sent++ < chunks ? Buffer.alloc(chunkBytes) : null)
    },
  })
}

/** Bytes that were read between two turns of the loop, at most, and in all. */
function watch(socket: Readable): Promise<{ readonly most: number; readonly all: number }> {
  let [most, all, inTurn] = [0, 0, 0]
  const turn = (): void => {
    inTurn = 0
    immediate = setImmediate(turn)
  }
  let immediate = setImmediate(turn)
  return new Promise(resolve => {
    socket.on('data', (chunk: Uint8Array) => {
      all += chunk.length
      inTurn += chunk.length
      most = Math.max(most, inTurn)
    })
    socket.on('end', () => {
      clearImmediate(immediate)
      resolve({ most, all })
    })
  })
}

t.test('a turn reads so much and no more, and nothing is lost', async t => {
  const socket = flood()
  takeTurns(socket, 16 * chunkBytes)
  const { most, all } = await watch(socket)
  t.equal(all, total)
  t.ok(most <= 34 * chunkBytes, `${most} bytes in a turn`)
})

t.test('without, it is all that is there', async t => {
  t.same(await watch(flood()), { most: total, all: total })
})

t.test('what comes now and then is read as it comes', async t => {
  const socket = new Readable({ read() {} })
  takeTurns(socket, 10)
  const got: string[] = []
  socket.on('data', (chunk: Buffer) => got.push(chunk.toString()))
  for (const text of ['one', 'a long one, of more than a turn', 'three']) {
    socket.push(text)
    await new Promise(resolve => setImmediate(resolve))
  }
  socket.push(null)
  await new Promise(resolve => socket.once('end', resolve))
  t.same(got, ['one', 'a long one, of more than a turn', 'three'])
})
