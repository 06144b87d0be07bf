/** The text of a license code from a file, or from standard input. */
import { open } from 'node:fs/promises'
import { usage } from '../command.ts'

/** White space and line breaks of mail included; what a code may have is far less. */
const bytesMax = 64 * 1024

/**
 * What stands for standard input inside the program. On the command line it is `-`, which yargs takes for an option
 * without a name.
 */
export const standardInput = '/dev/stdin'

export const codeFilePositional = {
  type: 'string',
  demandOption: true,
  describe: 'File that holds the code; - for standard input',
} as const

/** Throws LICD_USAGE when the file cannot be read or is far too large. */
export async function readCodeText(file: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    const handle = file === standardInput ? undefined : await open(file)
    for await (const chunk of handle?.createReadStream() ?? process.stdin) {
      const data = Buffer.from(chunk as Uint8Array)
      bytes += data.byteLength
      if (bytes > bytesMax) break
      chunks.push(data)
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw usage(`${file} cannot be read (${code}).`)
  }
  if (bytes > bytesMax) throw usage(`${file} has more than ${bytesMax} bytes: no license code.`)
  const { tidyCode } = await import('../../lib/code/inspect.ts')
  return tidyCode(Buffer.concat(chunks).toString('utf8'))
}
