/**
 * The shape of the source: who imports whom, and that the cores are pure.
 *
 * The import rules live in .dependency-cruiser.cjs. A tool that finds nothing to check is green too, so this
 * test counts what it saw, and plants one violation of each rule to see it found.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { packageFolder } from '../lib/nats-server.ts'

const root = packageFolder()
const layers = ['raft', 'lib', 'cmd']
const cores = ['raft/core', 'lib/ledger', 'lib/book']

interface Cruise {
  readonly modules: readonly { readonly source: string }[]
  readonly summary: {
    readonly violations: readonly {
      readonly from: string
      readonly rule: { readonly name: string }
    }[]
  }
}

async function cruise(folder: string, sources: readonly string[]): Promise<Cruise> {
  const program = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs')
  const config = join(root, '.dependency-cruiser.cjs')
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, '--config', config, '--output-type', 'json', ...sources],
    { cwd: folder, maxBuffer: 64 * 1024 * 1024 },
  )
  return JSON.parse(stdout) as Cruise
}

/** The TypeScript files of a folder below the root. */
function files(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => `${folder}/${name}`)
    .sort()
}

t.test('imports run one way: cmd, lib, raft; cores import nothing', async t => {
  const { modules, summary } = await cruise(root, layers)
  const seen = new Set(modules.map(({ source }) => source))
  for (const layer of layers) {
    const expected = files(layer)
    t.ok(expected.length > 0, `there are sources in ${layer}`)
    t.strictSame(
      expected.filter(file => !seen.has(file)),
      [],
      `all of ${layer} was seen`,
    )
  }
  t.strictSame(
    summary.violations.map(({ from, rule }) => `${rule.name}: ${from}`),
    [],
  )
})

t.test('each rule finds what breaks it', async t => {
  const folder = t.testdir({
    'package.json': JSON.stringify({
      ...{ type: 'module', dependencies: { level: '*' }, devDependencies: { tap: '*' } },
    }),
    'tsconfig.json': readFileSync(join(root, 'tsconfig.json'), 'utf8'),
    raft: {
      core: {
        'clean.ts': `import assert from 'node:assert/strict'\nassert(true)\nexport const clean = 1\n`,
        'disk.ts': `import fs from 'node:fs'\nexport const disk = fs\n`,
        'shell.ts': `import type { Port } from '../port.ts'\nexport type Shell = Port\n`,
      },
      'port.ts': `export interface Port {}\n`,
      'license.ts': `import type { Seat } from '../lib/seat.ts'\nexport type License = Seat\n`,
      'ring.ts': `import { one } from './one.ts'\nexport const ring = one\n`,
      'one.ts': `import { ring } from './ring.ts'\nexport const one = () => ring\n`,
    },
    lib: {
      ledger: {
        'state.ts': `import type { Seat } from '../seat.ts'\nexport const state = 1 as Seat\n`,
        'code.ts': `import type { Code } from '../error.ts'\nexport type Refusal = Code\n`,
      },
      book: {
        'seats.ts': `import { state } from '../ledger/state.ts'\nexport const seats = state\n`,
        'types.ts': `import type { state } from '../ledger/state.ts'\nexport type T = typeof state\n`,
      },
      'error.ts': `export type Code = 'A'\n`,
      'seat.ts': `export type Seat = number\n`,
      'main.ts': `import { run } from '../cmd/run.ts'\nexport const main = run\n`,
      'tool.ts': `import tap from 'tap'\nexport const tool = tap\n`,
      'index.ts': `export { client } from './client.ts'\n`,
      'client.ts': `import level from 'level'\nexport const client = level\n`,
      'lost.ts': `import { gone } from './gone.ts'\nexport const lost = gone\n`,
    },
    cmd: {
      'run.ts': `import { clean } from '../raft/core/clean.ts'\nexport const run = clean\n`,
      'proof.ts': `import { fixture } from '../test/fixture.ts'\nexport const proof = fixture\n`,
    },
    test: { 'fixture.ts': 'export const fixture = 1\n' },
    node_modules: {
      tap: {
        'package.json': '{"name":"tap","main":"index.js"}',
        'index.js': 'module.exports = 1\n',
      },
      level: {
        'package.json': '{"name":"level","main":"index.js"}',
        'index.js': 'module.exports = 1\n',
      },
    },
  })
  const { summary } = await cruise(folder, [...layers, 'test'])
  t.strictSame(
    [...new Set(summary.violations.map(({ from, rule }) => `${rule.name}: ${from}`))].sort(),
    [
      'all-is-found: lib/lost.ts',
      'client-is-light: lib/index.ts',
      'lib-knows-no-program: lib/main.ts',
      'lib/book-takes-types-alone: lib/book/seats.ts',
      'lib/ledger-is-pure: lib/ledger/state.ts',
      'no-cycles: raft/one.ts',
      'only-declared-packages: lib/tool.ts',
      'product-knows-no-tests: cmd/proof.ts',
      'raft-knows-no-licenses: raft/license.ts',
      'raft/core-is-pure: raft/core/disk.ts',
      'raft/core-is-pure: raft/core/shell.ts',
    ],
  )
})

/** What a core must not say: a way to the clock, to chance, to the outside, or out of the order of calls. */
const impure = {
  'a clock': /\b(Date|performance|hrtime|Temporal)\b/,
  chance: /\b(Math\.random|crypto|randomUUID|randomBytes|getRandomValues)\b/,
  'a timer': /\b(setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\b/,
  'a promise': /\b(Promise|async|await|then)\b/,
  'the outside': /\b(process|globalThis|console|fetch|require)\b|\bimport\s*\(/,
  // Order and case by language settings differ from host to host.
  'the locale': /\b(localeCompare|toLocale\w+|Intl)\b/,
  // A collector that runs when it likes.
  'the collector': /\b(WeakRef|FinalizationRegistry)\b/,
}

/** The code of a source file: comments and the contents of strings are blanked, what `${}` holds is not. */
function codeOf(text: string): string {
  return text.replaceAll(
    /\/\*[^]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g,
    found => found.replaceAll(/[^\n]/g, ' '),
  )
}

function impurities(text: string): string[] {
  return codeOf(text)
    .split('\n')
    .flatMap((line, at) =>
      Object.entries(impure)
        .filter(([, pattern]) => pattern.test(line))
        .map(([what]) => `${what} in line ${at + 1}: ${line.trim()}`),
    )
}

t.test('cores read no clock, no chance, and make no promise', async t => {
  for (const core of cores) {
    const sources = files(core)
    t.ok(sources.length > 0, `there are sources in ${core}`)
    for (const file of sources) {
      t.strictSame(impurities(readFileSync(join(root, file), 'utf8')), [], file)
    }
  }
})

t.test('an impure line is found, a word in a comment or string is not', async t => {
  const found = [
    'const at = Date.now()',
    'Math.random()',
    'setTimeout(() => 1, 2)',
    'async function f() {}',
    'const f = async () => 1',
    'await x',
    'x.then(y)',
    'process.hrtime()',
    'const m = `${performance.now()}`',
    "const m = import('x')",
    'names.sort((a, b) => a.localeCompare(b))',
    "f('it\\'s', Date)",
  ]
  for (const line of found) t.equal(impurities(line).length > 0, true, line)
  const clean = [
    '// the Date is stamped in the entry',
    '/* await\n Promise */',
    "code('Date')",
    'updatedDate',
  ]
  for (const line of clean) t.strictSame(impurities(line), [], line)
})
