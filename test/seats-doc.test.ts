/** docs/seats.md names the code and the tests that guard each step: what it names is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

const text = readFileSync('docs/seats.md', 'utf8')
const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map(match => match[1] ?? '')
const read = (file: string): string => readFileSync(file, 'utf8')

t.test('every file that is named exists', async t => {
  const files = quoted.filter(name => /^(lib|raft|test|cmd)\/[\w./-]+\.ts$/.test(name))
  t.ok(files.length > 15)
  for (const file of files) t.ok(existsSync(file), file)
})

t.test('every mutant that is named is one, and what the checks say is said', async t => {
  const folder = 'test/mutants'
  const rules = readdirSync(folder).filter(file => file.startsWith('rules'))
  const source = rules.map(file => read(`${folder}/${file}`)).join('\n')
  const mutants = quoted.filter(name => /^[a-z]+(?:-[a-z]+)+$/.test(name))
  t.ok(mutants.length > 45)
  for (const name of mutants) t.ok(source.includes(`name: '${name}'`), name)
  const checks = read('test/sim/pool-checks.ts')
  for (const name of ['I1:', 'I2:', 'I3:', 'I5:', 'R1:', 'R2:']) {
    t.ok(quoted.includes(name) && checks.includes(name), name)
  }
})

t.test('what it quotes of assertions and scenarios is there', async t => {
  const schedules = read('test/service/schedules.ts')
  t.ok(schedules.includes('a lost answer of an isolated server, then a move with the older token'))
  const book = read('lib/book/book.ts')
  for (const said of [
    'only spare is promised',
    'in use <= limit',
    'nothing is renewed over the limit',
    'A seat is exactly one allocation',
  ]) {
    t.ok(book.includes(said), said)
    t.ok(text.replaceAll(/\s+/g, ' ').includes(said), said)
  }
})
