/** Asks whether what cannot be undone is really meant. */
import { createInterface } from 'node:readline/promises'
import { LicdError } from '../lib/error.ts'
import type { Program } from './program.ts'

/**
 * Passes when the flag was given, or when someone at a terminal types `answer`.
 *
 * @throws LicdError LICD_NOT_CONFIRMED
 */
export async function confirm(
  program: Program,
  options: {
    readonly given: boolean
    /** What it does, as a statement. */
    readonly what: string
    readonly answer: string
    /** The option that confirms without a terminal. */
    readonly flag: string
  },
): Promise<void> {
  const { given, what, answer, flag } = options
  program.note(what)
  if (given) return
  const { stdin, stderr } = process
  if (!stdin.isTTY || !stderr.isTTY) {
    throw new LicdError('LICD_NOT_CONFIRMED', `Without a terminal, ${flag} confirms it.`)
  }
  const terminal = createInterface({ input: stdin, output: stderr })
  try {
    const typed = await terminal.question(`Type ${answer} to go on: `)
    if (typed.trim() !== answer) throw new LicdError('LICD_NOT_CONFIRMED')
  } finally {
    terminal.close()
  }
}
