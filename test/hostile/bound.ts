/**
 * Memory of a server under any flood of one client, MiB: 90 to start with, 10,000 waiting requests, what NATS may have on
 * its way to it, and the collector's slack.
 */
export const memoryBound = 512
