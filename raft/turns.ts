/**
 * Turns: what one socket reads in one turn of the event loop is bounded, so that whoever sends more than this process can
 * handle takes no time from its other sockets and its timers.
 *
 * Node reads up to 32 chunks of 64 KiB of a socket that always has more, and handles each, before it looks at anything
 * else. What is not read here is held back by TCP, and then by the sender.
 */
import type { Readable } from 'node:stream'

/** Reads `bytes`, and at most two chunks of the socket's beyond it, then lets others go first. For as long as the socket lives. */
export function takeTurns(socket: Readable, bytes: number): void {
  let left = bytes
  let isAwaited = false
  const begin = (): void => {
    isAwaited = false
    left = bytes
    if (socket.isPaused()) socket.resume()
  }
  socket.on('data', (chunk: Uint8Array) => {
    left -= chunk.length
    if (left <= 0) socket.pause()
    if (isAwaited) return
    isAwaited = true
    setImmediate(begin)
  })
}
