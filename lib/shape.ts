/**
 * What values from outside look like, in valibot: the words that commands, codes and proofs are said in.
 *
 * They take and refuse exactly what TypeBox did, by which servers of before read the same bytes (I5): lengths are counted in
 * code points, numbers are finite, a field that may be absent may also be undefined, and a list is no object. That holds for
 * plain values: what JSON.parse and msgpack (raft/msgpack.ts) can give.
 *
 * Messages never quote the value, which may be long, or a secret.
 */
import * as v from 'valibot'

type Schema = v.GenericSchema
type Fields = v.ObjectEntries

/** As the code has it: what may be undefined is absent, and nothing is changed. */
type Exact<T> = T extends readonly (infer Item)[]
  ? readonly Exact<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Exact<Exclude<T[K], undefined>> }
    : T

export type ValueOf<S extends Schema> = Exact<v.InferOutput<S>>

/** Whether the value is of this shape. Never throws. */
export function isOf<S extends Schema>(schema: S, value: unknown): value is ValueOf<S> {
  return v.is(schema, value)
}

/** The first thing that is wrong with a value, and where (fields joined by dots), or `undefined` where nothing is. */
export function faultOf(
  schema: Schema,
  value: unknown,
): { readonly path: string; readonly message: string } | undefined {
  const [issue] = v.safeParse(schema, value, { abortEarly: true }).issues ?? []
  return issue && { path: v.getDotPath(issue) ?? '', message: issue.message }
}

/** At most `max` characters. One step, as figures are: they are what most fields of commands hold. */
export function text(max: number) {
  return v.custom<string>(
    value => typeof value === 'string' && isWithin(value, max),
    ({ input }) =>
      typeof input === 'string' ? `must not have more than ${max} characters` : 'must be string',
  )
}

/** Counted in code points. A text has at least half as many of them as of what `length` counts. */
function isWithin(value: string, max: number): boolean {
  return value.length <= max || (value.length <= 2 * max && [...value].length <= max)
}

/** One character at least. */
export function filled(max: number) {
  return v.pipe(text(max), v.minLength(1, 'must not be empty'))
}

/** At most `max` characters. */
export function pattern(expression: RegExp, max = Infinity) {
  return v.pipe(text(max), v.regex(expression, `must match ${expression.source}`))
}

/** Any number but NaN and the infinite. */
export const figure = v.custom<number>(Number.isFinite, 'must be number')

export function whole(min: number, max: number) {
  return v.pipe(
    v.number('must be integer'),
    v.integer('must be integer'),
    v.minValue(min, `must be >= ${min}`),
    v.maxValue(max, `must be <= ${max}`),
  )
}

export function one<const T extends string | number>(value: T) {
  return v.literal(value, `must be ${value}`)
}

export function oneOf<const T extends readonly string[]>(...values: T) {
  return v.picklist(values, `must be ${values.join(' or ')}`)
}

export function list<S extends Schema>(item: S, { min = 0, max = Infinity } = {}) {
  return v.pipe(
    v.array(item, 'must be array'),
    v.minLength(min, `must not have fewer than ${min} items`),
    v.maxLength(max, `must not have more than ${max} items`),
  )
}

/** These fields and no others. */
export function strict<F extends Fields>(fields: F) {
  return v.strictObject(fields, objectFault)
}

/** These fields, and whatever else. */
export function loose<F extends Fields>(fields: F) {
  return v.object(fields, objectFault)
}

function objectFault({ expected }: v.BaseIssue<unknown>): string {
  if (expected === 'Object') return 'must be object'
  return expected === 'never' ? 'is not known' : 'is missing'
}

/** What keeps a list out where it could pass: for objects all of whose fields are optional. */
export function noList<S extends Schema>(schema: S) {
  return v.pipe(
    v.custom<v.InferInput<S>>(value => !Array.isArray(value), 'must be object'),
    schema,
  )
}

/**
 * Figures by names that are not known beforehand. TypeBox took names for `^.*$`, and did not look at the value under one
 * that has a line break in it: the ledger knows no such name.
 */
export const figures = v.custom<Readonly<Record<string, number>>>(
  value =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(([name, it]) => !/^.*$/u.test(name) || Number.isFinite(it)),
  'must be an object of numbers',
)

/**
 * One of several objects, told apart by the text in the field `key`. As valibot's `variant`, which tries one after
 * the other and words a fault for each that it is not.
 */
export function choice<K extends string, S extends OptionOf<K>>(key: K, options: readonly S[]) {
  const byName = new Map<unknown, S>(options.map(option => [option.entries[key].literal, option]))
  const none = v.never('is of no known kind')
  return v.lazy(value => byName.get(fieldOf(value, key)) ?? none)
}

type OptionOf<K extends string> = Schema & {
  readonly entries: Readonly<Record<K, { readonly literal: string }>>
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  const field: unknown = Reflect.get(value, key)
  return field
}

export { optional } from 'valibot'
