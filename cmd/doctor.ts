/** `licd doctor`: looks at a server's host, and says what to do. */
import { resolve } from 'node:path'
import { LicdError } from '../lib/error.ts'
import type { Check, Finding } from '../lib/doctor/finding.ts'
import { defineCommand } from './command.ts'
import { exitCodes } from './exit-code.ts'
import { harmless, type Program } from './program.ts'
import { contextOption, natsOption } from './session.ts'

const marks = { ok: 'ok', warning: 'warning', failure: 'FAILURE' } as const
const colours = { ok: 'green', warning: 'yellow', failure: 'red' } as const

export const doctorCommand = defineCommand({
  command: 'doctor',
  describe: 'Look at a server\u2019s host, and say what to do about what is wrong',
  positionals: {},
  options: {
    data: { type: 'string', describe: 'The server\u2019s data folder; LICD_DATA' },
    nats: natsOption,
    context: contextOption,
    'run-nats': {
      type: 'boolean',
      describe: 'As licd serve will be told',
      defaultDescription: 'where licd init configured one',
    },
    pool: { type: 'string', describe: 'As licd serve will be told' },
    server: { type: 'string', describe: 'As licd serve will be told' },
    http: { type: 'string', describe: 'As licd serve will be told' },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    ['doctor --data /var/lib/licd', 'before the first start, and whenever something is odd'],
    ['doctor --config /etc/licd/licd.json', 'with what licd serve is told there'],
  ],
  epilogue:
    'Run it as the user that the server runs as. It changes nothing, and may run beside the server. ' +
    'Warnings do not stop a server; failures do. Exit code 0: no failure; 1: there is one.',
  run: async (args, program) => {
    const found: Finding[] = []
    const tell = (finding: Finding): void => {
      found.push(finding)
      if (!args.json) printFinding(finding, program)
    }
    await examineAll(args, program, tell)
    const isWell = found.every(({ state }) => state !== 'failure')
    if (args.json) program.printJson({ ok: isWell, checks: found })
    return isWell ? exitCodes.ok : exitCodes.refused
  },
})

interface DoctorArgs {
  readonly data: string | undefined
  readonly nats: string | undefined
  readonly context: string | undefined
  readonly runNats: boolean | undefined
  readonly pool: string | undefined
  readonly server: string | undefined
  readonly http: string | undefined
}

async function examineAll(
  args: DoctorArgs,
  program: Program,
  tell: (finding: Finding) => void,
): Promise<void> {
  const { failed, failure, ok } = await import('../lib/doctor/finding.ts')
  const configuration: Check = 'configuration'
  const { settings, environment } = program
  if (settings.problem !== undefined) {
    const toDo = 'Mend it there, and look again; licd serve --help lists the options.'
    tell(failed(configuration, settings.problem, toDo))
    return
  }
  if (args.data === undefined) {
    const toDo = 'licd doctor --data FOLDER, or `data` in the file of --config, or LICD_DATA'
    tell(failure(configuration, 'no data folder is given', toDo))
    return
  }
  const { examine } = await import('../lib/doctor/doctor.ts')
  const { realSystem } = await import('../lib/doctor/system.ts')
  const { packageVersion } = await import('../lib/version.ts')
  const { chooseNats } = await import('./serve-nats.ts')
  const { natsOptions } = await import('../lib/nats-context.ts')
  try {
    const folder = resolve(args.data)
    const http = await httpOf(args)
    const { runs, own, source } = chooseNats({ ...args, data: folder }, environment)
    const from = settings.fileName === undefined ? 'no file' : settings.fileName
    tell(ok(configuration, `${from}; data in ${folder}`))
    await examine(
      {
        ...{ folder, pool: args.pool, server: args.server, environment, http },
        ownNats: !runs ? 'none' : own === undefined ? 'loopback' : 'configured',
        nats: () => natsOptions(source, environment),
        version: packageVersion(),
        system: realSystem,
      },
      tell,
    )
  } catch (error) {
    if (!(error instanceof LicdError)) throw error
    tell(failed(configuration, error))
  }
}

async function httpOf({ http }: DoctorArgs) {
  const { defaultHttp, parseHttpAddress } = await import('../lib/http/address.ts')
  const address = parseHttpAddress(http ?? defaultHttp)
  return address === undefined ? undefined : { address, isDefault: http === undefined }
}

function printFinding({ check, state, says, toDo }: Finding, program: Program): void {
  const mark = program.paint(colours[state], marks[state].padEnd(8))
  program.print(`${mark} ${check.padEnd(13)} ${harmless(says)}`)
  if (toDo !== undefined) program.print(`${' '.repeat(23)}-> ${harmless(toDo)}`)
}
