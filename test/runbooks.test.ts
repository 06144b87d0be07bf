/** docs/runbooks.md: every alert and every code has its section, and what it says to type is there to be typed. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { commands } from '../cmd/commands.ts'
import { createParser } from '../cmd/parser.ts'
import { codes } from '../lib/error.ts'
import { captureProgram } from './cmd/in-process.ts'

const text = readFileSync('docs/runbooks.md', 'utf8')
const rules = readFileSync('deploy/prometheus/licd.rules.yml', 'utf8')
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name)

/** Heading -> what stands below it, up to the next one. */
const sections = new Map(
  text
    .split(/^#{3,4} /m)
    .slice(1)
    .map(part => {
      const [heading = '', ...body] = part.split('\n')
      return [heading, body.join('\n').split(/^#/m)[0] ?? '']
    }),
)

t.test('every alert and every code has a section that says what to type', async t => {
  t.ok(alerts.length > 10)
  for (const name of [...alerts, ...Object.keys(codes)]) {
    t.match(sections.get(name)?.trim(), /^[^]{15,}\nType: [^]{5,}$/, name)
  }
})

t.test('no section is of a code or an alert that is gone', async t => {
  const named = [...sections.keys()].filter(name => /^(LICD_|Licd)/.test(name))
  t.strictSame(
    named.filter(name => !Object.hasOwn(codes, name) && !alerts.includes(name)),
    [],
  )
})

async function helpOf(words: readonly string[]): Promise<string> {
  let help = ''
  const parser = createParser(captureProgram(), () => undefined, commands)
  await parser.parseAsync([...words, '--help'], {}, (_error, _argv, output) => void (help = output))
  return help
}

for (const file of ['docs/runbooks.md', 'docs/upgrade.md']) {
  t.test(`${file}: each command is one, with the options that it names`, async t => {
    const page = readFileSync(file, 'utf8')
    const inline = [...page.matchAll(/`(licd [^`\n]+)`/g)].map(([, line = '']) => line)
    const blocks = [...page.matchAll(/^(licd .*)$/gm)].map(([, line = '']) => line)
    const lines = [...inline, ...blocks].map(line => line.replace(/ *(#|\||>).*$/, ''))
    t.ok(lines.length > (file.includes('runbooks') ? 60 : 3))
    for (const line of new Set(lines)) {
      const [own = ''] = line.split(' -- ')
      const words = own
        .replaceAll(/\$\([^)]*\)/g, 'X')
        .split(' ')
        .slice(1)
      const end = words.findIndex(word => !/^[a-z-]+$/.test(word) || word.startsWith('-'))
      const command = words.slice(0, end < 0 ? undefined : end)
      if (command.length === 0) {
        t.equal(own, 'licd --version')
        continue
      }
      // Arguments in lower case (a name in an example) are not the command's.
      let help = ''
      for (let count = command.length; count > 0; count--) {
        help = await helpOf(command.slice(0, count))
        if (help.startsWith(`licd ${command.slice(0, count).join(' ')}`)) break
      }
      t.match(help, new RegExp(`^licd ${command[0] ?? ''}`), line)
      const [usage = ''] = help.split('\n')
      const given = words.slice(command.length).findIndex(word => word.startsWith('-'))
      const placed = words.slice(command.length, given < 0 ? undefined : command.length + given)
      const places = usage.match(/[<[][^>\]]+[>\]]/g) ?? []
      const most = usage.includes('..') ? Infinity : places.length
      t.ok(placed.length <= most, `${line}: ${usage}`)
      for (const option of words.filter(word => word.startsWith('--'))) {
        t.ok(help.includes(option), `${line}: ${option}`)
      }
    }
  })
}
