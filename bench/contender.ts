/**
 * What is measured: a contender is servers on loopback with their data in a temporary folder; a row is one kind of
 * operation asked of them; a layout is how many client processes ask, and how much each has in flight.
 */

export interface NamedProcess {
  readonly name: string
  readonly pid: number
}

/** What a driver in a client process needs to know; travels as JSON. */
export interface Address {
  readonly urls: readonly string[]
  /** Names of servers, where clients choose one by name. */
  readonly servers?: readonly string[]
  /** Features made for those who use them up: how many, by what a client process has in flight. */
  readonly features?: Readonly<Record<string, number>>
}

/** Servers that run. */
export interface Running {
  readonly address: Address
  /** Those to be charged for CPU and memory. */
  processes(): readonly NamedProcess[]
  /** Of those that replicate: for what happens when a server is lost, or all are started again. */
  readonly cluster?: Cluster
  /** Ends them and waits until they are gone. */
  stop(): Promise<void>
}

export interface Cluster {
  readonly names: readonly string[]
  /** Name of the server that leads; waits until one does. */
  leader(): Promise<string>
  kill(name: string): Promise<void>
  /** Starts one that was killed or stopped. */
  start(name: string): Promise<void>
  /** Stops all cleanly; their data stays. */
  stopAll(): Promise<void>
}

export type ContenderName = DriverName

export interface Row {
  /** `contender.operation`, unique. */
  readonly id: string
  readonly title: string
  readonly contender: ContenderName
  readonly driver: DriverName
  /** Which of the driver's operations. */
  readonly operation: string
}

export interface Contender {
  readonly name: ContenderName
  readonly title: string
  readonly rows: readonly Row[]
  /** Versions of its programs, or why it cannot run here and how to get it. */
  look(): Look
  start(folder: string): Promise<Running>
}

export type Look =
  { readonly here: true; readonly version: string } | { readonly here: false; readonly why: string }

export interface Layout {
  readonly processes: number
  readonly inFlight: number
}

export function layoutName({ processes, inFlight }: Layout): string {
  return `${processes}x${inFlight}`
}

export type DriverName = 'licd' | 'echo' | 'etcd' | 'kv' | 'redis' | 'postgres' | 'ledger' | 'floor'

/** How a client process is told to open its driver. */
export interface DriverOrder {
  readonly driver: DriverName
  readonly operation: string
  readonly address: Address
  /** Which of how many client processes this is. */
  readonly process: number
  readonly processes: number
  readonly inFlight: number
}

/** One process's side of a contender. */
export interface Driver {
  /**
   * One operation of a worker, `0` to `inFlight - 1`. `done` is called once, never from within this call; with a text
   * when it failed. `isOver` tells an operation that tries again and again to give up (that is no failure).
   */
  run(worker: number, done: (failure?: string) => void, isOver: () => boolean): void
  /** Between measurements: gives back what was taken. */
  settle?(): Promise<void>
  close(): Promise<void>
}

/** The number of a worker among all of a layout, for those that have a feature of their own. */
export function workerNumber(order: DriverOrder, worker: number): number {
  return order.process * order.inFlight + worker
}

/** Workers that may have a feature of their own. */
export const workersMax = 256

/** Where a process connects when it may choose: its servers, its own first. */
export function ownFirst<T>(of: readonly T[], process: number): T[] {
  const at = process % Math.max(1, of.length)
  return [...of.slice(at), ...of.slice(0, at)]
}
