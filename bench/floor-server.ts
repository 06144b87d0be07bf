/**
 * What a replicated write costs at least over NATS and LevelDB: three processes, synced batches, no Raft logic.
 *
 * The first takes writes, gathers those that come while a batch is under way, sends each batch to the two others and
 * writes it itself; when two of the three have it on disk it answers. Nothing is elected, compared or recovered.
 */
import { Level } from 'level'
import { Packr } from 'msgpackr'
import { connect, type Msg } from 'nats'
import { putSubject } from './drivers/floor.ts'

const appendSubject = 'bench.floor.append'
const quorum = 2

const [url = '', folder = '', number = '0'] = process.argv.slice(2)
const packr = new Packr({ useRecords: false })
const level = new Level<string, Uint8Array>(folder, { valueEncoding: 'view' })
await level.open()
const connection = await connect({
  servers: url,
  name: `bench floor ${number}`,
  noAsyncTraces: true,
})
let index = 0

function write(entries: readonly Uint8Array[]): Promise<void> {
  const rows = entries.map(value => {
    return { type: 'put' as const, key: String(++index).padStart(12, '0'), value }
  })
  return level.batch(rows, { sync: true })
}

function follow(): void {
  connection.subscribe(appendSubject, {
    callback(_error, message) {
      const entries = packr.unpack(message.data) as Uint8Array[]
      void write(entries).then(() => message.respond())
    },
  })
}

function lead(): void {
  let waiting: Msg[] = []
  let isBusy = false
  let missing = 0
  let batch: Msg[] = []
  const inbox = `_INBOX.floor${process.pid}`
  const acknowledge = (): void => {
    if (--missing !== 0) return
    for (const message of batch) message.respond()
    isBusy = false
    next()
  }
  const next = (): void => {
    if (isBusy || waiting.length === 0) return
    isBusy = true
    missing = quorum
    batch = waiting
    waiting = []
    const entries = batch.map(({ data }) => new Uint8Array(data))
    const of = ++round
    connection.publish(appendSubject, packr.pack(entries), { reply: `${inbox}.${of}` })
    void write(entries).then(() => heard(of))
  }
  let round = 0
  // The third acknowledgement of a batch comes late, and is not one of the next.
  const heard = (of: number): void => {
    if (of === round && missing > 0) acknowledge()
  }
  connection.subscribe(`${inbox}.*`, {
    callback(_error, message) {
      heard(Number(message.subject.slice(inbox.length + 1)))
    },
  })
  connection.subscribe(putSubject, {
    callback(_error, message) {
      waiting.push(message)
      setImmediate(next)
    },
  })
}

if (number === '0') lead()
else follow()
await connection.flush()
console.log('ready')
