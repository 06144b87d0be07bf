/** `licd ctl snapshot`: a pool's ledger saved to a file, looked at, and a pool made from it again. */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Snapshot } from '../../lib/snapshot-file.ts'
import { defineCommand, defineGroup, readWhole } from '../command.ts'
import { confirm } from '../confirm.ts'
import type { Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatDuration } from '../table.ts'

const file = { type: 'string', demandOption: true, describe: 'The snapshot file' } as const
const json = { type: 'boolean', describe: 'Print JSON for programs', default: false } as const

export const holdOption = {
  type: 'number',
  describe: 'Serve no sooner than after so many ticks, where the lease was longer than known here',
} as const

const saveCommand = defineCommand({
  command: 'save <file>',
  describe: 'Save the ledger of a pool that runs: codes, allocations, criteria, shares',
  positionals: { file },
  options: sessionOptions,
  examples: [
    ['ctl snapshot save /backup/pool.snap', 'in the place of the last one, when it is whole'],
  ],
  epilogue:
    'Everything acknowledged before is in it; seats are not, they are the servers\u2019 own and short-lived. ' +
    'Keep pool.key of a server with it, as secret as that is: restore needs both.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { saveSnapshot } = await import('../../lib/ctl/save.ts')
      const { header, server, bytes } = await saveSnapshot(client, args.file, what =>
        program.progress.say(what),
      )
      if (args.json) program.printJson({ ...header, server, bytes, file: args.file })
      else {
        program.print(
          `${args.file}: ${header.pool} at index ${header.index}, tick ${header.tick}, ${bytes} bytes, from ${server}`,
        )
      }
      return 0
    }),
})

const showCommand = defineCommand({
  command: 'show <file>',
  describe: 'Check a snapshot file, and say what it holds',
  positionals: { file },
  options: { json },
  examples: [['ctl snapshot show /backup/pool.snap', 'is it whole, and of when']],
  run: async (args, program) => {
    const { readSnapshotFile } = await import('../../lib/snapshot-file.ts')
    program.progress.say(`checking ${args.file}`)
    show(program, await readSnapshotFile(args.file), args.json)
    return 0
  },
})

const restoreCommand = defineCommand({
  command: 'restore <file>',
  describe: 'Make a pool anew from a snapshot: a data folder for each of its servers',
  positionals: { file },
  options: {
    key: {
      type: 'string',
      demandOption: true,
      describe: 'pool.key of any server that the pool had; pool.join of a pool with TLS',
    },
    out: { type: 'string', demandOption: true, describe: 'Folder that gets OUT/<server> for each' },
    servers: {
      type: 'string',
      describe: 'Names of its servers, with commas',
      defaultDescription: 'the voters in the snapshot',
    },
    'hold-ticks': holdOption,
    'old-pool-is-gone': {
      type: 'boolean',
      default: false,
      describe: 'Confirms that no server of the old pool runs, or ever will again',
    },
    json,
  },
  examples: [
    ['ctl snapshot restore pool.snap --key pool.key --out pool', 'asks to confirm'],
    ['ctl snapshot restore pool.snap --key pool.key --out pool --servers one', 'on one host'],
  ],
  epilogue:
    'The new pool has the old one\u2019s name, fingerprint, codes, allocations, criteria and shares, and a new ' +
    'secret key: tokens of before are refused. It serves when the longest lease and one tick have passed: ' +
    'until then seats of the old pool may be in use. Were the old pool still to run, out of reach of the ' +
    'new one, there would be two pools granting the same allocations.',
  run: async (args, program) => {
    const { readSnapshotFile } = await import('../../lib/snapshot-file.ts')
    const { restorePool, votersIn } = await import('../../lib/anew.ts')
    program.progress.say(`checking ${args.file}`)
    const snapshot = await readSnapshotFile(args.file)
    program.progress.clear()
    const servers = args.servers?.split(',').map(name => name.trim()) ?? votersIn(snapshot)
    const { header } = snapshot
    await confirm(program, {
      given: args.oldPoolIsGone,
      what: `pool ${header.pool} as of ${new Date(header.savedAt).toISOString()}, tick ${header.tick}, for ${servers.join(', ')}: no server of the old pool may run, now or later`,
      answer: header.pool,
      flag: '--old-pool-is-gone',
    })
    const { identity, folders, isWithoutDoors } = await restorePool({
      snapshot,
      keyFile: args.key,
      folder: resolve(args.out),
      servers,
      ...holdTicksOf(args.holdTicks),
      onStep: what => program.progress.say(what),
      wall: Date.now,
      randomBytes,
    })
    if (isWithoutDoors) {
      const why = `${args.key} makes no certificates and credentials, which this pool had`
      program.note(`${why}: with pool.join as --key each folder gets its own, in nats/`)
    }
    if (args.json) {
      program.printJson({ pool: identity.pool, fingerprint: identity.fingerprint, folders })
      return 0
    }
    for (const [server, folder] of Object.entries(folders)) {
      program.print(`${server.padEnd(13)}licd serve --data ${folder}`)
    }
    const { leaseTicks, tickMs } = snapshot.state.settings
    program.print(`It serves ${formatDuration((leaseTicks + 1) * tickMs)} or more after it starts.`)
    return 0
  },
})

export function holdTicksOf(given: number | undefined): { holdTicks?: number } {
  return given === undefined ? {} : { holdTicks: readWhole('--hold-ticks', given, 0, 10_000_000) }
}

function show(program: Program, { header, state, bytes }: Snapshot, asJson: boolean): void {
  const servers = [...state.servers.values()].map(({ name, role }) => ({ name, role }))
  const counts = { features: state.features.size, codes: state.codes.size }
  if (asJson) {
    program.printJson({ ...header, bytes, servers, ...counts })
    return
  }
  program.print(`pool         ${header.pool}`)
  program.print(`fingerprint  ${header.fingerprint}`)
  program.print(`saved        ${new Date(header.savedAt).toISOString()}, tick ${header.tick}`)
  program.print(`index        ${header.index}, term ${header.term}, hash ${header.hash}`)
  program.print(`servers      ${servers.map(({ name, role }) => `${name} (${role})`).join(', ')}`)
  program.print(`holds        ${counts.features} features, ${counts.codes} codes, ${bytes} bytes`)
}

export const snapshotCommand = defineGroup(
  'snapshot',
  'Save a pool\u2019s ledger to a file, or make a pool anew from one',
  [saveCommand, showCommand, restoreCommand],
  [
    ['ctl snapshot save pool.snap', 'of a pool that runs'],
    ['ctl snapshot restore pool.snap --key pool.key --out pool', 'for a pool that is gone'],
  ],
)
