/**
 * A license server on the real parts: NATS, LevelDB, the clock.
 *
 * Used by `licd serve`, by `licd dev` and by tests. Everything that can be wrong at start is a coded rejection; a
 * failure later is `onFatal`, after which the server has stopped by itself.
 */
import type { Logger } from '../../raft/ports.ts'
import {
  connectNats,
  defaultSettings,
  systemClock,
  systemRandom,
  type NatsBus,
  type NatsOptions,
  type RaftSettings,
} from '../../raft/index.ts'
import { accountOfServer } from '../access/operator.ts'
import { judge } from '../code/judge.ts'
import type { LicdError } from '../error.ts'
import { fileAccountStore } from '../account-store.ts'
import { createLogger } from '../log.ts'
import type { Eyes, EyesOptions } from '../http/eyes.ts'
import { fileKeyStore } from '../key-file.ts'
import { openDataFolder, type DataFolder } from '../pool-files.ts'
import type { PoolStatus } from '../protocol/ctl.ts'
import { createSeatService } from '../service/service.ts'
import type { Standing } from './admission.ts'
import { packageVersion } from '../version.ts'
import { asLicdError } from './fatal.ts'
import { Micro } from './micro.ts'
import { LicenseServer } from './server.ts'

export interface StartOptions {
  readonly dataFolder: string
  /** What the folder must belong to, where that is said (LICD_WRONG_POOL). */
  readonly pool?: string
  readonly server?: string
  /** Addresses and credentials. Without `waitMs` it waits for NATS without end. */
  readonly nats: NatsOptions
  readonly log?: Logger
  /** Figures, health and the page, where they are wanted. */
  readonly http?: Pick<EyesOptions, 'address' | 'isDefault' | 'knownAs'> | undefined
  /** Overrides of Raft's settings; the same on all servers. */
  readonly raft?: Partial<RaftSettings>
  /** Has the nats-server beside it read its configuration again; absent where this process runs none that has one. */
  readonly reloadNats?: () => void
  /** Gives up waiting for NATS. */
  readonly signal?: AbortSignal
  /** It has to be added by an operator before it can serve; or it has been. */
  readonly onStanding?: (standing: Standing, of: { server: string; pool: string }) => void
  /** It has stopped by itself: a disk failed, its name is taken. The process should end. */
  readonly onFatal?: (error: LicdError) => void
}

export interface RunningServer extends AsyncDisposable {
  readonly server: string
  readonly pool: string
  readonly fingerprint: string
  /** Resolves when it may grant (it has its first lease); rejects when it stops before. */
  readonly serving: Promise<void>
  /** Where its page is; `undefined` where it has none. */
  readonly http: string | undefined
  status(): PoolStatus
  /** Clean stop (R7). Twice does no harm. */
  stop(): Promise<void>
}

const waitLogEveryMs = 10_000
/** Of what clients send, read at a time: a few hundred messages, some milliseconds of work. */
const clientBytesPerTurn = 64 * 1024

/** Clients have a connection of their own: whatever comes over it keeps no word of the other servers waiting. */
interface Links {
  readonly bus: NatsBus
  readonly clientBus: NatsBus
}

/**
 * Starts a server and resolves when it runs, which is before it serves (see `serving`).
 *
 * @throws LicdError LICD_NOT_INITIALISED, LICD_WRONG_POOL, LICD_BAD_KEY, LICD_DATA_LOCKED, LICD_DATA_DAMAGED,
 *   LICD_STORAGE, LICD_NATS_REFUSED, LICD_NATS_UNREACHABLE (with `nats.waitMs`), LICD_CLOSED (signal)
 */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { dataFolder, pool, server } = options
  const folder = await openDataFolder(dataFolder, {
    ...(pool === undefined ? {} : { pool }),
    ...(server === undefined ? {} : { server }),
  })
  const log = options.log ?? createLogger({ base: { pool: folder.pool, server: folder.server } })
  const eyes = await openEyes(options, folder, log)
  try {
    const links = await connect(options, folder, log)
    return run(options, { folder, links, log, eyes })
  } catch (cause) {
    await eyes?.close()
    await new Promise<void>(resolve => folder.storage.close(resolve))
    throw asLicdError(cause)
  }
}

/** Before NATS is there: whoever asks then hears that the server starts. Loaded where it is wanted alone. */
async function openEyes(
  { http }: StartOptions,
  { pool, server }: DataFolder,
  log: Logger,
): Promise<Eyes | undefined> {
  if (http === undefined) return undefined
  const { Eyes } = await import('../http/eyes.ts')
  return await Eyes.open({ ...http, pool, server, log })
}

async function connect(
  { nats, signal }: StartOptions,
  folder: DataFolder,
  log: Logger,
): Promise<Links> {
  const started = performance.now()
  const timer = setInterval(() => {
    const waitedMs = Math.round(performance.now() - started)
    log.warn('nats-wait', { servers: nats.servers, waitedMs })
  }, waitLogEveryMs)
  const name = `licd ${folder.pool} ${folder.server}`
  const open = (more: NatsOptions): Promise<NatsBus> =>
    connectNats({ waitMs: Infinity, ...more, ...(signal === undefined ? {} : { signal }) })
  try {
    const bus = await open({ name, log, ...nats })
    try {
      const bytesPerTurn = clientBytesPerTurn
      const ofClients = { name: `${name} clients`, log: linkLog(log), bytesPerTurn }
      return { bus, clientBus: await open({ ...nats, ...ofClients }) }
    } catch (cause) {
      await bus.close()
      throw cause
    }
  } finally {
    clearInterval(timer)
  }
}

/** Its lines say which of the two connections they are of. */
function linkLog(log: Logger): Logger {
  const of = 'clients'
  return {
    debug: (event, fields) => log.debug(event, { of, ...fields }),
    info: (event, fields) => log.info(event, { of, ...fields }),
    warn: (event, fields) => log.warn(event, { of, ...fields }),
    error: (event, fields) => log.error(event, { of, ...fields }),
  }
}

function run(
  options: StartOptions,
  {
    folder,
    links: { bus, clientBus },
    log,
    eyes,
  }: { folder: DataFolder; links: Links; log: Logger; eyes?: Eyes | undefined },
): RunningServer {
  let settle: { serve: () => void; fail: (error: LicdError) => void } | undefined
  const serving = new Promise<void>((serve, fail) => (settle = { serve, fail }))
  // Nobody may be waiting for it; `onFatal` tells in any case.
  serving.catch(() => {})
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> =>
    (stopping ??= new Promise<void>(resolve => licenseServer.stop(resolve)).then(async () => {
      micro.close()
      await eyes?.close()
      await Promise.all([clientBus.close(), bus.close()])
    }))
  const { credentials } = options.nats
  const text = typeof credentials === 'function' ? credentials() : credentials
  // One that joined by a key file of before does not know by its folder that operators sign.
  const { issuer = accountOfServer(text) } = folder
  const licenseServer = new LicenseServer({
    identity: { ...folder, ...(issuer === undefined ? {} : { issuer }) },
    bus,
    clientBus,
    clock: systemClock,
    random: systemRandom,
    storage: folder.storage,
    clockLookMs: 1,
    books: folder.books,
    keyStore: fileKeyStore(folder.keyFile),
    accountStore: fileAccountStore(options.dataFolder, options.reloadNats),
    raft: { ...defaultSettings, ...options.raft },
    judge,
    version: packageVersion(),
    createService: createSeatService,
    log,
    ...(eyes === undefined ? {} : { observer: eyes, http: eyes.url }),
    onServing: () => settle?.serve(),
    onStanding: standing => options.onStanding?.(standing, folder),
    onFatal(error) {
      settle?.fail(error)
      void stop().then(() => options.onFatal?.(error))
    },
  })
  const micro = new Micro(licenseServer)
  eyes?.watch(licenseServer)
  licenseServer.start()
  return {
    server: folder.server,
    pool: folder.pool,
    fingerprint: folder.fingerprint,
    serving,
    http: eyes?.url,
    status: () => licenseServer.status(),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
