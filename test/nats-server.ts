/**
 * A real nats-server for tests, on a free loopback port, ended by its own process id.
 *
 * Tests that need NATS run against the real one; where it is missing they fail and say how to get it, for a
 * suite that skips its main part says nothing.
 */
import { startNatsServer as start, type NatsServerOptions } from '../lib/nats-server.ts'

export interface TestNatsServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** The last 64 KiB of its log. */
  log(): string
  /** Ends it (SIGTERM) and waits until it is gone. Twice does no harm. */
  stop(): Promise<void>
  /** Ends it at once (SIGKILL) and waits until it is gone. */
  kill(): Promise<void>
  /** Stops its process from running (SIGSTOP): connections stay, nothing answers. */
  pause(): void
  /** Lets it run again (SIGCONT). */
  resume(): void
  /** Another server on the same port; call it after `stop` or `kill`. */
  restart(): Promise<TestNatsServer>
}

/** Starts a server and resolves when it answers. Rejects with a LicdError that says what to do. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<TestNatsServer> {
  const server = await start(options)
  return {
    url: server.url,
    port: server.port,
    pid: server.pid,
    log: () => server.log(),
    stop: () => server.stop(),
    kill: () => server.kill(),
    pause: () => void process.kill(server.pid, 'SIGSTOP'),
    resume: () => void process.kill(server.pid, 'SIGCONT'),
    restart: () => startNatsServer({ ...options, port: server.port }),
    [Symbol.asyncDispose]: () => server.stop(),
  }
}
