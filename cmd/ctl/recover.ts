/** `licd ctl recover`: a pool goes on from one survivor when the majority of its voters is lost for good. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createLogger } from '../../lib/log.ts'
import { defineCommand } from '../command.ts'
import { confirm } from '../confirm.ts'
import { holdOption, holdTicksOf } from './snapshot.ts'

export const recoverCommand = defineCommand({
  command: 'recover',
  describe: 'Go on from one survivor when the majority of the voters is lost for good',
  positionals: {},
  options: {
    data: {
      type: 'string',
      demandOption: true,
      describe: 'Data folder of the survivor, whose server is stopped; LICD_DATA',
    },
    survivors: {
      type: 'string',
      describe: 'Others that will come back with new folders (licd join), with commas',
    },
    'hold-ticks': holdOption,
    'the-others-are-lost': {
      type: 'boolean',
      default: false,
      describe: 'Confirms that the old majority is gone, and will never run again',
    },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    ['ctl recover --data /var/lib/licd', 'says what is there, and asks to confirm'],
    ['ctl recover --data /var/lib/licd --survivors beta', 'beta joins again with a new folder'],
  ],
  epilogue:
    'Of several survivors take the one with the highest term, then index: run it on each, and answer no. What the ' +
    'lost ones had committed and this one had not received is lost. Everybody else is removed from the pool, ' +
    'and has to join anew. It serves when the longest lease and one tick have passed; tokens of before are ' +
    'refused. A lost server that comes back and can be heard stops by itself; one that cannot be heard ' +
    'must never run again.',
  run: async (args, program) => {
    const { openRecovery } = await import('../../lib/anew.ts')
    const { ownConfig } = await import('../../lib/own-nats.ts')
    const recovery = await openRecovery(args.data)
    const { file, remains } = recovery
    const { lastIndex, lastTerm, voters, trust } = remains
    const survivors = args.survivors?.split(',').map(name => name.trim()) ?? []
    try {
      program.note(`${file.server} of pool ${file.pool}: term ${lastTerm}, index ${lastIndex}`)
      if (trust !== 'full') program.note('its disk was damaged: entries may be missing')
      const lost = voters.filter(name => name !== file.server && !survivors.includes(name))
      await confirm(program, {
        given: args.theOthersAreLost,
        what: `goes on alone, without ${lost.join(', ') || 'others'}: none of them may run again with its present folder`,
        answer: file.pool,
        flag: '--the-others-are-lost',
      })
      const identity = await recovery.carryOut({
        survivors,
        ...holdTicksOf(args.holdTicks),
        wall: Date.now,
        randomBytes,
      })
      const { server } = file
      createLogger({ base: { pool: file.pool, server } }).warn('recovered', { lost, survivors })
      if (args.json)
        program.printJson({ ...identity, server, lost, term: lastTerm, index: lastIndex })
      else {
        program.print(`licd serve --data ${args.data}`)
        // The keys are new, and stand there; what makes certificates is still in pool.join alone.
        const hasDoors = ownConfig(args.data) !== undefined
        const [name, more] = hasDoors ? ['NAME=HOST', ' --authority pool.join'] : ['NAME', '']
        const key = join(args.data, 'pool.key')
        program.print(`for others   licd join ${name} --key ${key}${more} --out FOLDER`)
      }
      return 0
    } finally {
      await recovery.close()
    }
  },
})
