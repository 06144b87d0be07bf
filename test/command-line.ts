/** Command lines of the programs for developers: `--help` gets the usage, and so does what is wrong, with exit code 2. */
import { parseArgs, type ParseArgsConfig } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>

type Read<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true }>
>

/** Options, and at most so many words beside them. */
export function readCommandLine<const T extends Options>(
  usage: string,
  options: T,
  words = 0,
): Read<T> {
  const args = process.argv.slice(2)
  if (args.includes('--help')) {
    process.stdout.write(`${usage}\n`)
    process.exit(0)
  }
  return orUsage(usage, () => {
    const read = parseArgs({ args, options, allowPositionals: true })
    const tooMany = read.positionals[words]
    if (tooMany !== undefined) throw new Error(`What is ${tooMany} for?`)
    return read
  })
}

/** A number above 0, or `otherwise` where there is no text. */
export function readNumber(usage: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  return orUsage(usage, () => {
    if (!(value > 0)) throw new Error(`${text} is no number above 0.`)
    return value
  })
}

/** Those of `known` that are named, all where none is. */
export function readNames<Name extends string>(
  usage: string,
  texts: readonly string[],
  known: readonly Name[],
): readonly Name[] {
  const wrong = texts.find(text => !known.some(name => name === text))
  orUsage(usage, () => {
    if (wrong !== undefined) throw new Error(`No ${wrong}; there are ${known.join(', ')}.`)
  })
  return texts.length === 0 ? known : known.filter(name => texts.includes(name))
}

export function orUsage<T>(usage: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    process.stderr.write(`${what}\n\n${usage}\n`)
    process.exit(2)
  }
}
