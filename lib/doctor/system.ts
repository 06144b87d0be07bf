/** What `licd doctor` asks of the host it runs on, and the real one. */
import { open, rm, statfs, type FileHandle } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../../raft/ports.ts'
import { systemClock } from '../../raft/index.ts'

export interface DoctorSystem {
  /** As `process.versions.node`. */
  readonly nodeVersion: string
  readonly clock: Pick<Clock, 'now' | 'wall' | 'uptime'>
  /** Bytes that this user may still write there. */
  freeBytes(folder: string): Promise<number>
  /** Writes `count` blocks of 4 KiB in a file of the folder, syncs each, and removes it: how long each took, in ms. */
  syncTimes(folder: string, count: number): Promise<number[]>
  /** Whether one could listen there: the system's word (`EADDRINUSE`, `EACCES`), undefined when one can. */
  bindProblem(host: string, port: number): Promise<string | undefined>
  /** The first line that whatever listens there says of itself, empty when it says nothing. */
  greeting(host: string, port: number): Promise<string>
}

const blockBytes = 4_096
const greetingMs = 2_000
const greetingBytesMax = 16 * 1024

export const realSystem: DoctorSystem = {
  nodeVersion: process.versions.node,
  clock: systemClock,
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
  async syncTimes(folder, count) {
    const path = join(folder, `doctor-${process.pid}`)
    const file: FileHandle = await open(path, 'wx', 0o600)
    try {
      const times: number[] = []
      const block = Buffer.alloc(blockBytes, 1)
      for (let n = 0; n < count; n++) {
        const begun = performance.now()
        await file.write(block, 0, blockBytes, n * blockBytes)
        await file.datasync()
        times.push(performance.now() - begun)
      }
      return times
    } finally {
      await file.close()
      await rm(path, { force: true })
    }
  },
  bindProblem: (host, port) =>
    new Promise(resolve => {
      const server = createServer()
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
    }),
  greeting: (host, port) =>
    new Promise(resolve => {
      let text = ''
      const socket = createConnection({ host, port })
      const done = (): void => {
        socket.destroy()
        resolve(text.split('\n')[0] ?? '')
      }
      socket.setEncoding('utf8').setTimeout(greetingMs, done)
      socket.once('error', done)
      socket.once('close', done)
      socket.on('data', (chunk: string) => {
        text += chunk
        if (text.includes('\n') || text.length > greetingBytesMax) done()
      })
    }),
}
