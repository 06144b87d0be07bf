/**
 * The large search: `npm run explore`. So many states at most from each start, and some looked at whole; what is wrong is
 * printed with the shortest way to it.
 *
 * Without arguments it also has to be large: a million states with two leaders and truncations among them, or it ends
 * in 1.
 */
import { readCommandLine, readNames, readNumber } from '../command-line.ts'
import { Explorer, type Result } from './explore.ts'
import { scopes, wholes, type Scope } from './scope.ts'

const wanted = 1_000_000
const all = [...new Set([...scopes, ...wholes])]
const usage = `npm run explore -- [STATES] [START...]
  STATES   from each start, at most (125000)
  START    ${all.map(({ name }) => name).join(', ')} (all)`
const { positionals } = readCommandLine(usage, {}, 1 + all.length)
const [limit, ...texts] = positionals
const fromEach = readNumber(usage, limit, 125_000)
const names = readNames(
  usage,
  texts,
  all.map(({ name }) => name),
)
const results: Result[] = []
let isWhole = true
for (const scope of all) {
  if (!names.includes(scope.name)) continue
  const isToBeWhole = limit === undefined && wholes.includes(scope)
  const result = search(scope, isToBeWhole ? Infinity : fromEach)
  results.push(result)
  if (isToBeWhole && !result.complete) isWhole = false
}
const sum = (count: (result: Result) => number): number =>
  results.reduce((total, result) => total + count(result), 0)

const states = sum(result => result.states)
const counts = {
  'two leaders': sum(({ twoLeaders }) => twoLeaders),
  truncations: sum(({ seen }) => seen.truncated),
}
const said = Object.entries(counts).map(([what, count]) => `${what} in ${count}`)
const complete = results.filter(result => result.complete).length
const whole = `${complete} of ${results.length} starts looked at whole`
console.log(`${states} distinct states, ${said.join(', ')}; ${whole}; nothing wrong in any`)
const isLarge = states >= wanted && Object.values(counts).every(count => count > 0)
if (limit === undefined && !(isLarge && isWhole)) {
  console.log(`too small a search: ${wanted} states, and ${wholes.length} starts whole, are wanted`)
  process.exitCode = 1
}

function search(scope: Scope, states: number): Result {
  const start = performance.now()
  const result = new Explorer(scope).run(states)
  show(scope.name, result, (performance.now() - start) / 1000)
  return result
}

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
