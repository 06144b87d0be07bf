/**
 * The large search: `npm run explore`, or `npm run explore -- STATES [SCOPE...]`. So many states at most from each
 * start; what is wrong is printed with the shortest way to it.
 */
import { Explorer, type Result } from './explore.ts'
import { scopes } from './scope.ts'

const [limit = '300000', ...names] = process.argv.slice(2)
let states = 0
for (const scope of scopes) {
  if (names.length > 0 && !names.includes(scope.name)) continue
  const start = performance.now()
  const result = new Explorer(scope).run(Number(limit))
  states += result.states
  show(scope.name, result, (performance.now() - start) / 1000)
}
console.log(`${states} states in all`)

function show(name: string, result: Result, seconds: number): void {
  const { states, complete, depth, edges, covered, steps, servers, messages, seen } = result
  console.log(`${name}: ${states} states${complete ? ', all there are' : ''}, ${depth} steps deep`)
  const rate = Math.round(states / seconds)
  console.log(
    `  ${seconds.toFixed(1)} s, ${rate} states/s, ${edges} ways, ${covered} covered by others`,
  )
  console.log(`  ${servers} servers, ${messages} messages, ${steps} steps of the core`)
  const counts = Object.entries({ twoLeaders: result.twoLeaders, ...seen })
  console.log(`  ${counts.map(([what, count]) => `${what} ${count}`).join(', ')}`)
}
