/** Each file of transcripts/ is a test: its output is what it expects. UPDATE=1 writes the outputs anew. */
import t from 'tap'
import { runTranscript, transcriptFiles } from './transcript.ts'

const files = transcriptFiles()

for (const file of files) {
  t.test(file, async t => {
    t.equal(runTranscript(file), undefined)
  })
}
