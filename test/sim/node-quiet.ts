/**
 * Nothing goes wrong: a cluster that elects once, and never again, however long it runs.
 */
import { defaultSettings } from '../../raft/core/settings.ts'
import { NodeWorld } from './node-world.ts'

export interface QuietResult {
  readonly elections: number
  readonly events: number
  readonly commands: number
}

/** Three servers without a fault, under a light load, for `hours` of virtual time. */
export function runQuiet(hours: number, seed = 1): QuietResult {
  const world = new NodeWorld({ seed, size: 3, faultsMs: 0 }, quietOptions)
  world.start()
  world.runTo(hours * 3_600_000)
  const { checks, events, clients } = world
  return { elections: checks.elections, events, commands: clients.commands }
}

const quietOptions = {
  settings: { ...defaultSettings, electionTimeoutMs: 3_000, heartbeatMs: 1_000 },
  kinds: new Map(),
  snapshotEveryEntries: 200,
  rowsPerSlice: 50,
  clients: 1,
  thinkMs: 60_000,
}
