/** The index of the transcripts: which sentence of which section is told where. Made from their first comments. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { transcriptFiles, transcriptFolder } from './transcript.ts'

const opening = `# Transcripts

Scenarios of the core, each for a sentence of the Raft paper (its extended version; numbers are its sections and figures), of
Ongaro's thesis, or of the rules for servers whose word does not count (\`raft/core/trust.ts\`) and for hints of the broker. How to
read and write them is said at the head of \`../transcript.ts\`. This list is made by \`UPDATE=1\` with the outputs.
`

/** What a file is for: its first comment, in one line. */
export function purposeOf(text: string): { readonly section: string; readonly says: string } {
  const lines = text.split('\n')
  const end = lines.findIndex(line => !line.startsWith('#'))
  const comment = lines.slice(0, end).map(line => line.slice(1).trim())
  const [section = '', ...says] = comment.join(' ').split(': ')
  return { section, says: says.join(': ') }
}

export function indexText(folder = transcriptFolder()): string {
  let chapter = ''
  const lines = transcriptFiles(folder).flatMap(file => {
    const { section, says } = purposeOf(readFileSync(join(folder, file), 'utf8'))
    const [within = ''] = file.split('/')
    const isNew = within !== chapter
    chapter = within
    // Underscores and the like are meant as they are.
    const text = says.replace(/[_*<]/g, sign => `\\${sign}`)
    return [...(isNew ? [`\n## ${within}\n`] : []), `- [${section}](${file}) ${text}`]
  })
  return `${opening}${lines.join('\n')}\n`
}
