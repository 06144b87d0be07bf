/** What a change says when it is done. */
import type { Changed } from '../../lib/ctl/ctl-client.ts'
import type { Program } from '../program.ts'

/** Prints that `what` is so now, as of which revision; in JSON all that is known. */
export function printChanged(
  program: Program,
  { json, what }: { readonly json: boolean; readonly what: string },
  changed: Changed,
): void {
  if (json) {
    const { server, revision, duplicate, content } = changed
    program.printJson({
      server,
      revision,
      duplicate,
      ...(content === undefined ? {} : { content }),
    })
    return
  }
  const again = changed.duplicate ? ', as done before by the same command id' : ''
  program.print(`${what} (revision ${changed.revision}${again})`)
}
