#!/usr/bin/env node
/**
 * Where the program begins: the thread pool must be sized before anything uses it, and loading an ES module does.
 *
 * The log's writes, the mark and snapshots share that pool with look-ups of NATS hosts and signatures: with the
 * usual four threads a disk that hangs would take the network with it.
 */
process.env.UV_THREADPOOL_SIZE ??= '8'

try {
  // Loaded at one go: with each module awaited by itself a server takes a fifth more CPU to start, and 5 MiB more.
  if (process.argv[2] === 'serve') {
    require('../lib/server/run.js')
    require('./serve-nats.js')
    require('./reload.js')
  }
  require('./licd.js')
} catch (error) {
  // Releases of Node between 20.19 and 22.12 that cannot.
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_REQUIRE_ESM')) throw error
  void import('./licd.ts')
}
