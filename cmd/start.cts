#!/usr/bin/env node
/**
 * Where the program begins: the thread pool must be sized before anything uses it, and loading an ES module does.
 *
 * The log's writes, the mark and snapshots share that pool with look-ups of NATS hosts and signatures: with the
 * usual four threads a disk that hangs would take the network with it.
 */
process.env.UV_THREADPOOL_SIZE ??= '8'

void import('./licd.ts')
