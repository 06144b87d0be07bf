/**
 * Bugs that other Rafts really had, each with what shows that it is not here: a regression that fails when the bug is
 * put back, or the mechanism that is absent.
 */
import type { Bug } from './bug.ts'
import { clients } from './table/clients.ts'
import { disk } from './table/disk.ts'
import { membership } from './table/membership.ts'
import { replication } from './table/replication.ts'
import { votes } from './table/votes.ts'

export const bugs: readonly Bug[] = [...votes, ...replication, ...disk, ...membership, ...clients]

const numbers = { V: 17, R: 16, D: 20, M: 9, C: 9 } as const

/** Every id that the table must have. */
export const ids: readonly string[] = Object.entries(numbers).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, n) => `${letter}${n + 1}`),
)

/** The table as it stands in README.md. */
export function rendered(): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rows = bugs.map(({ id, source, was, tests = [], mutants = [], absent, also = [] }) => {
    const code = (names: readonly string[]): string => names.map(name => `\`${name}\``).join(' ')
    const shown = absent === undefined ? code([...tests, ...also]) : `cannot be: ${absent}`
    return row([id, source, was, shown, code(mutants)])
  })
  const absent = bugs.filter(bug => bug.absent !== undefined).length
  return `# Bugs that really happened

What broke in other Rafts, and what shows that it does not here. Each row that can exist has a regression: a transcript
in this folder (\`.txt\`), or a scenario of the shell (\`shell.ts\`) or of the disk (\`disk.ts\`). Each is run with the bug put
back by the mutants named beside it, and fails. Made from \`table.ts\` by its test; UPDATE=1 writes it anew.

${bugs.length} bugs of ${ids.length} ids; ${absent} cannot exist here.

<!-- prettier-ignore -->
${row(['id', 'where', 'what it was', 'here', 'put back by'])}
${row(['---', '---', '---', '---', '---'])}
${rows.join('\n')}
`
}
