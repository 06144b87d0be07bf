/** `licd ctl criteria`: what the operator wants the distribution to be (claims 2, 7). */
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { readStatus } from '../../lib/ctl/pages.ts'
import type { FeatureStatus } from '../../lib/protocol/ctl.ts'
import { LicdError } from '../../lib/error.ts'
import { bounds } from '../../lib/ledger/command.ts'
import { isServerName } from '../../lib/protocol/subject.ts'
import { defineCommand, defineGroup, readWhole, usage } from '../command.ts'
import { changeOptions, sessionOptions, withSession } from '../session.ts'
import { formatPercent, formatTable } from '../table.ts'
import { printChanged } from './change.ts'
import { checkFeature } from './feature.ts'

const getCommand = defineCommand({
  command: 'get [feature]',
  describe: 'Show target shares and borrowing thresholds',
  positionals: { feature: { type: 'string', describe: 'Of this feature only' } },
  options: sessionOptions,
  examples: [['ctl criteria get cad', 'targets and thresholds of cad']],
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const features = await featuresOf(client, args.feature)
      if (args.json) program.printJson({ features: features.map(criteriaOf) })
      else {
        program.print(
          formatTable(
            program,
            [
              { title: 'FEATURE' },
              { title: 'SERVER' },
              { title: 'TARGET', right: true },
              { title: 'SHARE', right: true },
              { title: 'THRESHOLD', right: true },
            ],
            features.flatMap(({ name, even, shares }) =>
              shares.map(({ server, target, share, threshold }, index) => [
                index === 0 ? name : '',
                server,
                even ? `even ${target}` : target,
                share,
                formatPercent(threshold),
              ]),
            ),
          ),
        )
      }
      return 0
    }),
})

async function featuresOf(
  client: CtlClient,
  feature: string | undefined,
): Promise<readonly FeatureStatus[]> {
  if (feature === undefined) return (await readStatus(client, {})).status.features
  const { features } = (await readStatus(client, { feature })).status
  const found = features.filter(({ name }) => name === feature)
  if (found.length === 0) throw new LicdError('LICD_UNKNOWN_FEATURE', `Feature ${feature}.`)
  return found
}

function criteriaOf({ name, even, shares }: FeatureStatus) {
  return {
    feature: name,
    even,
    targets: Object.fromEntries(shares.map(({ server, target }) => [server, target])),
    thresholds: Object.fromEntries(shares.map(({ server, threshold }) => [server, threshold])),
  }
}

const setCommand = defineCommand({
  command: 'set <feature> [targets..]',
  describe: 'Set target shares, thresholds, or both',
  positionals: {
    feature: { type: 'string', demandOption: true, describe: 'The feature' },
    targets: {
      type: 'string',
      array: true,
      describe: 'alpha=10 beta=5: a server not named gets 0',
    },
  },
  options: {
    ...changeOptions,
    even: { type: 'boolean', describe: 'Divide evenly, whatever the total is', default: false },
    threshold: {
      type: 'array',
      string: true,
      describe: '0.8 for all servers, or alpha=0.8; may be repeated',
    },
  },
  examples: [
    ['ctl criteria set cad alpha=20 beta=10', 'alpha shall own 20, beta 10, others none'],
    ['ctl criteria set cad --even', 'all servers the same'],
    ['ctl criteria set cad --threshold 0.8', 'every server borrows from 80% in use on'],
    ['ctl criteria set cad --threshold beta=0.5', 'only beta, and from 50% on'],
  ],
  epilogue:
    'Targets rule at once; shares follow as allocations come free. Nothing in use is taken from anybody.',
  run: async (args, program) => {
    const { feature, even } = args
    checkFeature(feature)
    const targets = readTargets(args.targets ?? [], even)
    const thresholds = readThresholds(args.threshold ?? [])
    if (targets === undefined && thresholds.all === undefined && thresholds.each.length === 0) {
      throw usage('Say what to set: targets (alpha=10), --even, or --threshold.')
    }
    return await withSession(args, program.environment, async ({ client }) => {
      const steps = stepsOf(client, { feature, targets, thresholds })
      // One change, one id. Several changes would need several, of which each could be left in the dark.
      if (args.id !== undefined && steps.length > 1) {
        throw usage('--id goes with one change: set targets and each threshold on its own.')
      }
      for (const step of steps) {
        printChanged(program, { json: args.json, what: step.what }, await step.run(args.id))
      }
      return 0
    })
  },
})

type Targets = 'even' | Readonly<Record<string, number>>

interface Thresholds {
  readonly all: number | undefined
  readonly each: readonly (readonly [server: string, threshold: number])[]
}

function stepsOf(
  client: CtlClient,
  wanted: {
    readonly feature: string
    readonly targets: Targets | undefined
    readonly thresholds: Thresholds
  },
) {
  const { feature, targets, thresholds } = wanted
  const { all, each } = thresholds
  const steps: {
    what: string
    run: (id: string | undefined) => ReturnType<CtlClient['change']>
  }[] = []
  if (all !== undefined) {
    steps.push({
      what: `${feature}: every server borrows above ${formatPercent(all)}`,
      run: id => client.change('threshold-set', { feature, threshold: all }, id),
    })
  }
  if (targets !== undefined) {
    // Thresholds of single servers travel with the targets: one entry of the log, one revision.
    const request = {
      feature,
      targets,
      ...(each.length > 0 ? { thresholds: Object.fromEntries(each) } : {}),
    }
    steps.push({
      what: `${feature}: targets are set`,
      run: id => client.change('criteria-set', request, id),
    })
    return steps
  }
  for (const [server, threshold] of each) {
    steps.push({
      what: `${feature}: ${server} borrows above ${formatPercent(threshold)}`,
      run: id => client.change('threshold-set', { feature, server, threshold }, id),
    })
  }
  return steps
}

function readTargets(texts: readonly string[], even: boolean): Targets | undefined {
  if (even && texts.length > 0) throw usage('--even and targets exclude each other.')
  if (even) return 'even'
  if (texts.length === 0) return undefined
  const targets = texts.map(text => {
    const [server, figure] = readPair(text)
    return [server, readWhole(`The target of ${server}`, figure, 0, bounds.allocationsMax)] as const
  })
  return once('a target', targets)
}

function readThresholds(texts: readonly string[]): Thresholds {
  const pairs = texts.filter(text => text.includes('=')).map(text => readPair(text))
  const [all, ...more] = texts.filter(text => !text.includes('='))
  if (more.length > 0) throw usage('--threshold for all servers is given more than once.')
  const each = pairs.map(([server, figure]) => [server, readFraction(figure)] as const)
  once('a threshold', each)
  return { all: all === undefined ? undefined : readFraction(all), each }
}

function once<T>(what: string, pairs: readonly (readonly [string, T])[]): Record<string, T> {
  const record = Object.fromEntries(pairs)
  if (Object.keys(record).length === pairs.length) return record
  throw usage(`A server is given ${what} twice.`)
}

function readPair(text: string): readonly [server: string, figure: string] {
  const [server = '', figure = '', ...rest] = text.split('=')
  if (isServerName(server) && figure !== '' && rest.length === 0) return [server, figure]
  throw usage(`${JSON.stringify(text)} is not of the form server=figure.`)
}

function readFraction(text: string): number {
  const figure = /^\d*\.?\d+%?$/.test(text)
    ? Number.parseFloat(text) / (text.endsWith('%') ? 100 : 1)
    : Number.NaN
  if (figure > 0 && figure <= 1) return figure
  throw new LicdError('LICD_BAD_THRESHOLD', `${JSON.stringify(text)} is none.`)
}

export const criteriaCommand = defineGroup(
  'criteria',
  'Distribution criteria: target shares and borrowing thresholds',
  [getCommand, setCommand],
  [
    ['ctl criteria get cad', 'as they are'],
    ['ctl criteria set cad alpha=20 beta=10', 'as they shall be'],
  ],
)
