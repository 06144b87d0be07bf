/**
 * Where an option's value comes from when the command line does not give it: the environment (`LICD_POOL` for
 * `--pool`), then the configuration file (`{"pool": "..."}`), then the option's own default.
 *
 * Only options that exist are read, so that other LICD_ variables (a child of `licd run` has LICD_SEAT) do no harm;
 * a key in the file that is no option is a mistake and refused. Values are checked as on the command line.
 */
import { readFileSync, statSync } from 'node:fs'
import { LicdError } from '../lib/error.ts'

export type Environment = Readonly<Record<string, string | undefined>>
type Kind = 'string' | 'number'
export type SettingValue = string | number

/** Options that may be set outside the command line, by the kind of their value. */
const known: Readonly<Record<string, Kind>> = {
  nats: 'string',
  context: 'string',
  pool: 'string',
  server: 'string',
  timeout: 'number',
  data: 'string',
  http: 'string',
  'http-url': 'string',
  'log-level': 'string',
  user: 'string',
  host: 'string',
  wait: 'number',
  'on-lost': 'string',
  'lost-grace': 'number',
}

const fileBytesMax = 64 * 1024

export interface Setting {
  readonly value: SettingValue
  /** What the help says instead of the value, which may hold a password. */
  readonly from: string
}

export class Settings {
  readonly #environment: Environment
  readonly #file: Readonly<Record<string, unknown>>
  readonly #fileName: string | undefined

  /** What is wrong with the file; only where it was asked to go on without it. */
  readonly problem: LicdError | undefined

  /** Without a file that is wrong, for whoever looks for what is wrong. */
  static lenient(environment: Environment, fileName: string | undefined): Settings {
    try {
      const settings = new Settings(environment, fileName)
      settings.check()
      return settings
    } catch (error) {
      if (!(error instanceof LicdError)) throw error
      return new Settings(environment, undefined, error)
    }
  }

  /** Throws LICD_BAD_CONFIG when the file cannot be read, is no JSON object, or has a key that is no option. */
  constructor(environment: Environment, fileName: string | undefined, problem?: LicdError) {
    this.#environment = environment
    this.problem = problem
    this.#fileName = fileName
    this.#file = fileName === undefined ? {} : readConfig(fileName)
    const unknown = Object.keys(this.#file).find(key => !Object.hasOwn(known, key))
    if (unknown !== undefined) {
      throw new LicdError(
        'LICD_BAD_CONFIG',
        `${fileName ?? ''}: \`${unknown.slice(0, 40)}\` is none of ${Object.keys(known).join(', ')}.`,
      )
    }
  }

  /** The configuration file, if there is one. */
  get fileName(): string | undefined {
    return this.#fileName
  }

  /** All that is set, at once. Throws LICD_BAD_CONFIG: a value is of the wrong kind. */
  check(): void {
    for (const option of Object.keys(known)) this.find(option)
  }

  /** The value set for an option, or `undefined`. Throws LICD_BAD_CONFIG when it is of the wrong kind. */
  find(option: string): Setting | undefined {
    const kind = Object.hasOwn(known, option) ? known[option] : undefined
    if (kind === undefined) return undefined
    const variable = `LICD_${option.toUpperCase().replaceAll('-', '_')}`
    const text = this.#environment[variable]
    // As everywhere: a variable that is set but empty is not set.
    if (text !== undefined && text !== '') {
      // Where the environment says where NATS is, the nats CLI's context may still say how to get in.
      if (option === 'nats' || option === 'context') return undefined
      return { value: fromText(kind, text, variable), from: variable }
    }
    const value = Object.hasOwn(this.#file, option) ? this.#file[option] : undefined
    if (value === undefined) return undefined
    const place = `${this.#fileName ?? ''}: \`${option}\``
    return { value: fromJson(kind, value, place), from: this.#fileName ?? '' }
  }
}

/** The configuration file that the arguments or the environment name; options after `--` are the command's own. */
export function configFileOf(
  args: readonly string[],
  environment: Environment,
): string | undefined {
  let file = environment.LICD_CONFIG === '' ? undefined : environment.LICD_CONFIG
  for (const [index, arg] of args.entries()) {
    if (arg === '--') break
    if (arg === '--config') file = args[index + 1] ?? file
    else if (arg.startsWith('--config=')) file = arg.slice('--config='.length)
  }
  return file
}

function readConfig(fileName: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    const { size } = statSync(fileName)
    if (size > fileBytesMax) throw new Error(`it has more than ${fileBytesMax} bytes`)
    value = JSON.parse(readFileSync(fileName, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new LicdError('LICD_BAD_CONFIG', `${fileName}: ${why}.`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new LicdError('LICD_BAD_CONFIG', `${fileName} is no JSON object.`)
  }
  return { ...value }
}

function fromText(kind: Kind, text: string, place: string): SettingValue {
  if (kind === 'string') return text
  const figure = Number(text)
  if (Number.isFinite(figure)) return figure
  throw new LicdError('LICD_BAD_CONFIG', `${place} is ${JSON.stringify(text)}, not a number.`)
}

function fromJson(kind: Kind, value: unknown, place: string): SettingValue {
  if (kind === 'string' && typeof value === 'string') return value
  if (kind === 'number' && typeof value === 'number') return value
  throw new LicdError('LICD_BAD_CONFIG', `${place} must be a ${kind}.`)
}
