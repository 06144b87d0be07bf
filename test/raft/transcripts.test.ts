/** Each file of transcripts/ is a test: its output is what it expects. UPDATE=1 writes outputs and index anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runTranscript, transcriptFiles, transcriptFolder } from './transcript.ts'
import { indexText, purposeOf } from './transcript-index.ts'

const folder = transcriptFolder()

for (const file of transcriptFiles()) {
  t.test(file, async t => {
    t.equal(runTranscript(file), undefined)
    const text = readFileSync(join(folder, file), 'utf8')
    t.notMatch(text, /NOTHING THERE|VIOLATION/, 'it tells what it says it tells')
    t.match(text, /\n----\n[^\n]/, 'it has an output')
    t.match(purposeOf(text).section, /^(thesis|Figure|trust|hint|\d)/, 'it says of which section')
  })
}

t.test('the index is of these files', async t => {
  const path = join(folder, 'README.md')
  if (process.env['UPDATE'] === '1') writeFileSync(path, indexText())
  t.equal(readFileSync(path, 'utf8'), indexText())
})

t.test('every section that can be told is told', async t => {
  const told = new Set(transcriptFiles().map(file => file.split('/')[0]))
  const sections = ['5.1', '5.2', '5.3', '5.4', '5.5', '5.6', '6', '7', '8']
  const theses = ['3.10', '4', '6.2', '6.4', '9.6', '10.2'].map(number => `thesis-${number}`)
  for (const section of [...sections, ...theses]) {
    t.ok(
      [...told].some(name => name === section || name?.startsWith(`${section}-`)),
      section,
    )
  }
})
