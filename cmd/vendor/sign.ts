/** `licd vendor sign`: makes a license code. */
import { bounds, type CodeLimits } from '../../lib/ledger/command.ts'
import { systemClock, systemRandom } from '../../raft/system.ts'
import { defineCommand, readWhole, usage } from '../command.ts'

const dayMs = 86_400_000

export const signCommand = defineCommand({
  command: 'sign',
  describe: 'Make a license code: signed text that adds a feature, or allocations of it',
  positionals: {},
  options: {
    key: { type: 'string', demandOption: true, describe: 'The vendor\u2019s private key file' },
    fingerprint: {
      type: 'string',
      demandOption: true,
      describe: 'Of the pool it is for (licd ctl status shows it)',
    },
    customer: { type: 'string', demandOption: true, describe: 'Who bought it' },
    feature: {
      type: 'string',
      demandOption: true,
      describe: 'The feature, with @ and a version where versions are told apart',
    },
    allocations: { type: 'number', demandOption: true, describe: 'How many allocations' },
    kind: {
      choices: ['feature', 'allocations'],
      default: 'feature',
      describe: 'A new feature, or more allocations of one that the pool has',
    },
    start: {
      type: 'string',
      default: 'now',
      describe: 'When it starts: 2026-01-31, 2026-01-31T12:00Z, now',
    },
    expires: {
      type: 'string',
      default: 'never',
      describe: 'When it ends: a date as above, 365d (days after the start), never',
    },
    renews: {
      type: 'string',
      describe: 'Id of the code whose place it takes when that ends; no gap, and never both',
    },
    serves: {
      type: 'array',
      string: true,
      describe: 'Another version whose users get seats of this one: cad@2025; may be repeated',
    },
    'lease-max': {
      type: 'number',
      describe: 'Seconds that a server cut off from its pool may go on granting it, at most',
    },
    'seat-max': { type: 'number', describe: 'Seconds that a seat lives without renewal, at most' },
    'offline-days': { type: 'number', describe: 'Days that a seat may be taken offline (later)' },
    id: { type: 'string', describe: 'Id of the code, unique for good; made when absent' },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    [
      'vendor sign --key acme.key.json --fingerprint oPw5... --customer "Car Co" --feature cad@2026 --allocations 25 --expires 365d',
      '25 seats of cad@2026 for a year',
    ],
    [
      'vendor sign --key acme.key.json --fingerprint oPw5... --customer "Car Co" --feature cad@2026 --kind allocations --allocations 5',
      'five more',
    ],
    [
      'vendor sign --key acme.key.json --fingerprint oPw5... --customer "Car Co" --feature cad@2027 --allocations 25 --expires 365d --renews V8av... --serves cad@2026',
      'next year\u2019s, in the place of V8av..., for users of both versions',
    ],
  ],
  epilogue:
    'The code is printed on standard output. It holds only for the pool whose fingerprint it names. ' +
    'Limits, versions and renewals need a pool that was upgraded (licd ctl upgrade).',
  run: async (args, program) => {
    const allocations = readWhole('--allocations', args.allocations, 1, bounds.allocationsMax)
    const { feature, version } = splitFeature(args.feature)
    const now = systemClock.wall()
    const startsAt = readStart(args.start, now)
    const expiresAt = readEnd(args.expires, startsAt)
    const codeId = args.id ?? systemRandom.id()
    const { readVendorSigner } = await import('../../lib/code/vendor-key.ts')
    const { signCode } = await import('../../lib/code/sign.ts')
    const signer = await readVendorSigner(args.key)
    const limits = readLimits(args)
    const text = signCode(
      {
        codeId,
        customer: args.customer,
        fingerprint: args.fingerprint,
        kind: args.kind === 'allocations' ? 'allocations' : 'feature',
        feature,
        ...(version === undefined ? {} : { version }),
        allocations,
        startsAt,
        ...(expiresAt === undefined ? {} : { expiresAt }),
        issuedAt: now,
        limits,
        serves: args.serves ?? [],
        ...(args.renews === undefined ? {} : { renews: args.renews }),
      },
      signer,
    )
    if (args.json) program.printJson({ codeId, text })
    else program.print(text)
    return 0
  },
})

function readLimits(args: {
  readonly leaseMax: number | undefined
  readonly seatMax: number | undefined
  readonly offlineDays: number | undefined
}): CodeLimits {
  const { leaseMax, seatMax, offlineDays } = args
  const seconds = (option: string, value: number): number =>
    readWhole(option, value, 1, bounds.limitSeconds) * 1000
  return {
    ...(leaseMax === undefined ? {} : { leaseMs: seconds('--lease-max', leaseMax) }),
    ...(seatMax === undefined ? {} : { seatMs: seconds('--seat-max', seatMax) }),
    ...(offlineDays === undefined
      ? {}
      : { offlineDays: readWhole('--offline-days', offlineDays, 0, bounds.offlineDays) }),
  }
}

function splitFeature(text: string): { feature: string; version?: string } {
  const at = text.indexOf('@')
  return at < 0 ? { feature: text } : { feature: text.slice(0, at), version: text.slice(at + 1) }
}

function readStart(text: string, now: number): number {
  return text === 'now' ? now : readDate('--start', text)
}

function readEnd(text: string, startsAt: number): number | undefined {
  if (text === 'never') return undefined
  const days = /^(\d{1,6})d$/.exec(text)?.[1]
  return days === undefined ? readDate('--expires', text) : startsAt + Number(days) * dayMs
}

/** A date alone is its first moment, in UTC. Throws LICD_USAGE. */
export function readDate(option: string, text: string): number {
  const form = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2}))?$/
  const time = form.test(text) ? Date.parse(text) : Number.NaN
  // Date.parse takes 2026-02-30 for the 2nd of March.
  const isReal = !Number.isNaN(time) && isDayOf(text)
  if (isReal) return time
  throw usage(
    `${option} ${JSON.stringify(text)} is no date such as 2026-01-31 or 2026-01-31T12:00Z.`,
  )
}

function isDayOf(text: string): boolean {
  const day = text.slice(0, 10)
  const time = Date.parse(day)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}
