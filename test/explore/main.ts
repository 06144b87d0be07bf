/**
 * The large search: `npm run explore`, or `npm run explore -- LIMIT [SCOPE...]`.
 */
import { Explorer } from './explore.ts'
import { scopes } from './scope.ts'

const [limit = '1000000', ...names] = process.argv.slice(2)
for (const [name, scope] of Object.entries(scopes)) {
  if (names.length > 0 && !names.includes(name)) continue
  const start = performance.now()
  const result = new Explorer(scope).run(Number(limit))
  const seconds = (performance.now() - start) / 1000
  const { seen, ...rest } = result
  console.log(name, JSON.stringify(rest), `${Math.round(result.states / seconds)} states/s`)
  console.log('  ', JSON.stringify(seen))
}
