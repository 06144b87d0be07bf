/** `licd ctl upgrade`: the pool goes by newer rules, once every server knows them. */
import { viewPool } from '../../lib/ctl/pool-view.ts'
import { LicdError } from '../../lib/error.ts'
import { levelMax } from '../../lib/ledger/command.ts'
import { defineCommand } from '../command.ts'
import { changeOptions, withSession } from '../session.ts'
import { printChanged } from './change.ts'

export const upgradeCommand = defineCommand({
  command: 'upgrade',
  describe: 'After all servers run a new version: let the pool go by its rules',
  positionals: {},
  options: changeOptions,
  examples: [['ctl upgrade', 'once the last server was upgraded; there is no way back']],
  epilogue:
    'Until then servers of both versions run side by side and the pool goes by the older rules. Every ' +
    'server must answer and know the new ones. New pools need no upgrade.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { status, levelOf } = await viewPool(client, { of: { limit: 0 } })
      const current = status.level ?? 1
      const target = Math.min(levelMax, status.levelMax ?? 1)
      if (current >= target) {
        if (args.json) program.printJson({ level: current, unchanged: true })
        else program.print(`the pool is at level ${current} already`)
        return 0
      }
      for (const { name, state } of status.servers) {
        const known = levelOf[name]
        if (known !== undefined && known >= target) continue
        const why = known === undefined ? `does not answer (${state})` : 'runs an older version'
        throw new LicdError('LICD_NOT_CAUGHT_UP', `${name} ${why}: upgrade or remove it first.`)
      }
      const changed = await client.change('level-set', { level: target }, args.id)
      printChanged(
        program,
        { json: args.json, what: `the pool is at level ${target} now` },
        changed,
      )
      return 0
    }),
})
