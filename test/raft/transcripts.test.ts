/** Each file of transcripts/ is a test: its output is what it expects. UPDATE=1 writes the outputs anew. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runTranscript, transcriptFiles, transcriptFolder } from './transcript.ts'

const files = transcriptFiles()

for (const file of files) {
  t.test(file, async t => {
    t.equal(runTranscript(file), undefined)
    const text = readFileSync(join(transcriptFolder(), file), 'utf8')
    t.notMatch(text, /NOTHING THERE|VIOLATION/, 'it tells what it says it tells')
  })
}
