/**
 * A whole terminal to draw on in place, with single keys to read, given back as it was.
 *
 * Without a terminal there is nothing to draw on: who uses this prints plain lines then.
 */
const enter = '\u001b[?1049h\u001b[?25l'
const leave = '\u001b[?25h\u001b[?1049l'
const home = '\u001b[H'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[J'

/** What it needs of `process.stdin` and `process.stdout` where both are terminals. */
export interface Terminal {
  readonly input: {
    setRawMode(isRaw: boolean): unknown
    setEncoding(encoding: 'utf8'): unknown
    on(event: 'data', listener: (data: string) => void): unknown
    off(event: 'data', listener: (data: string) => void): unknown
    resume(): unknown
    pause(): unknown
  }
  readonly output: {
    readonly columns: number
    readonly rows: number
    write(text: string): unknown
    on(event: 'resize', listener: () => void): unknown
    off(event: 'resize', listener: () => void): unknown
  }
}

/** The whole screen, until `close`. */
export class Screen {
  readonly #terminal: Terminal
  readonly #onData: (data: string) => void
  readonly #onResize: () => void
  readonly #onExit = (): void => this.close()
  #isClosed = false

  /**
   * `onKey` is called for each key, Ctrl-C (`\u0003`) among them: in raw mode it is no signal; a key such as an arrow comes
   * as one text. `onResize`: what is drawn is gone, and the size another.
   */
  constructor(
    terminal: Terminal,
    onKey: (key: string) => void,
    onResize: () => void = () => undefined,
  ) {
    this.#terminal = terminal
    this.#onData = data => {
      for (const key of keysOf(data)) onKey(key)
    }
    this.#onResize = onResize
    const { input, output } = terminal
    output.write(enter)
    output.on('resize', this.#onResize)
    input.setRawMode(true)
    input.setEncoding('utf8')
    input.on('data', this.#onData)
    input.resume()
    // A program that ends by a bug must not leave a terminal that shows nothing typed.
    process.once('exit', this.#onExit)
  }

  get width(): number {
    return Math.max(20, this.#terminal.output.columns)
  }

  get height(): number {
    return Math.max(4, this.#terminal.output.rows)
  }

  draw(lines: readonly string[]): void {
    const body = lines.slice(0, this.height).map(line => `${line}${clearLine}`)
    this.#terminal.output.write(`${home}${body.join('\r\n')}${clearBelow}`)
  }

  /** Twice does no harm. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { input, output } = this.#terminal
    process.off('exit', this.#onExit)
    output.off('resize', this.#onResize)
    input.off('data', this.#onData)
    input.setRawMode(false)
    input.pause()
    output.write(leave)
  }
}

/** Single keys; what begins with an escape (arrows) is one key. */
function keysOf(data: string): string[] {
  return data.match(new RegExp('\\u001b\\[[0-9;]*[A-Za-z~]|[^]', 'gu')) ?? []
}
