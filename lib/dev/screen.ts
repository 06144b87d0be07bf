/**
 * The terminal of `licd dev`: draws the view in place, reads single keys, and gives the terminal back as it was.
 *
 * Without a terminal there is nothing to draw on: events are printed as plain lines, and a summary now and then.
 */
import type { ReadStream, WriteStream } from 'node:tty'

const enter = '\u001b[?1049h\u001b[?25l'
const leave = '\u001b[?25h\u001b[?1049l'
const home = '\u001b[H'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[J'

export interface Terminal {
  readonly input: ReadStream
  readonly output: WriteStream
}

/** The whole screen, until `close`. */
export class Screen {
  readonly #terminal: Terminal
  readonly #onData: (data: string) => void

  constructor(terminal: Terminal, onKey: (key: string) => void) {
    this.#terminal = terminal
    this.#onData = data => {
      for (const key of data) onKey(key)
    }
    terminal.output.write(enter)
    terminal.input.setRawMode(true)
    terminal.input.setEncoding('utf8').on('data', this.#onData)
    terminal.input.resume()
  }

  get width(): number {
    return Math.max(60, this.#terminal.output.columns)
  }

  get height(): number {
    return Math.max(16, this.#terminal.output.rows)
  }

  draw(lines: readonly string[]): void {
    const body = lines.slice(0, this.height).map(line => `${line}${clearLine}`)
    this.#terminal.output.write(`${home}${body.join('\r\n')}${clearBelow}`)
  }

  close(): void {
    const { input, output } = this.#terminal
    input.off('data', this.#onData)
    input.setRawMode(false)
    input.pause()
    output.write(leave)
  }
}
