/**
 * Ways to spoil a valid body: as bytes (flipped, cut, spliced with another, filled with what the format gives a meaning
 * to), and as the value it holds (a field of another kind, a figure at its edge, one too many, one too few, too deep).
 *
 * All from one seeded chance, so that target, seed and number of a case make it again.
 */
import { Packr } from 'msgpackr'
import type { SeededRandom } from '../sim/seeded-random.ts'
import type { Target } from './target.ts'

/** No case is larger: larger ones are refused unread, which tests by hand show. */
export const bytesMax = 300 * 1024

const packr = new Packr({ useRecords: false, int64AsType: 'number' })

/** Case number `n` of a target: a body of the corpus, spoilt once to four times. */
export function mutate({ corpus, form, seal }: Target, random: SeededRandom): Uint8Array {
  let body = Uint8Array.from(random.pick(corpus))
  const other = random.pick(corpus)
  const inValue = form !== 'bytes' && random.chance(0.6)
  if (inValue) body = mutateBody(body, other, form, random)
  if (!inValue || random.chance(0.2)) {
    for (let n = random.between(1, 3); n > 0; n--) body = mutateBytes(body, other, random)
  }
  if (seal === undefined) return body
  const sealed = Uint8Array.from(seal(body))
  // Now and then what goes around it is what is wrong.
  return random.chance(0.1) ? mutateBytes(sealed, other, random) : sealed
}

function mutateBody(
  body: Uint8Array,
  other: Uint8Array,
  form: 'msgpack' | 'json',
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const parse = (bytes: Uint8Array): unknown =>
    form === 'json' ? JSON.parse(Buffer.from(bytes).toString()) : packr.unpack(bytes)
  let value = parse(body)
  const donor = parse(other)
  for (let n = random.between(1, 4); n > 0; n--) value = mutateValue(value, donor, random)
  const text = form === 'json' ? (JSON.stringify(value, asJson) ?? '') : undefined
  const bytes = text === undefined ? packr.pack(value) : Buffer.from(text)
  return Uint8Array.from(bytes.subarray(0, bytesMax))
}

function asJson(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url')
  return typeof value === 'bigint' ? Number(value) : value
}

type Edit = (body: Uint8Array, other: Uint8Array, random: SeededRandom) => Uint8Array

/** Bytes that start something: long texts, arrays, maps, extensions; and what ends a JSON text or a line. */
const starts = [
  ...[0x80, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb],
  ...[0xcf, 0xd3, 0xd4, 0xd5, 0xd6, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff, 0, 0x72],
  ...[0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x0a, 0x0d, 0x2e, 0x65, 0x74],
] as const
/** Extensions that the library would build something from: a record, errors, a set, a date, a huge number. */
const builders = [
  [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1],
  [0xd4, 0x65, 0, 0x92, 0xa1, 0x61, 0xa1, 0x62],
  [0xd4, 0x73, 0, 0x90],
  [0xd6, 0xff, 0, 0, 0, 1],
  [0xc7, 16, 0x42, ...Array.from({ length: 16 }, () => 0x7f)],
  [0xd4, 0x78, 0, 0x92, 0xa1, 0x61, 0xa0],
  [0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1],
  [0xd6, 0x62, 0xff, 0xff, 0xff, 0xf0, 0xc1],
] as const

const edits: readonly Edit[] = [
  (body, _other, random) => {
    const copy = Uint8Array.from(body)
    for (let n = random.between(1, 8); n > 0 && copy.length > 0; n--) {
      const at = random.between(0, copy.length - 1)
      copy[at] = (copy[at] ?? 0) ^ (1 << random.between(0, 7))
    }
    return copy
  },
  (body, _other, random) => body.subarray(0, random.between(0, body.length)),
  (body, _other, random) => body.subarray(random.between(0, body.length)),
  (body, other, random) =>
    join(
      body.subarray(0, random.between(0, body.length)),
      other.subarray(random.between(0, other.length)),
    ),
  (body, _other, random) => insert(body, [random.pick(starts)], random),
  (body, _other, random) => insert(body, random.pick(builders), random),
  (body, _other, random) => {
    const copy = Uint8Array.from(body)
    if (copy.length > 0) copy[random.between(0, copy.length - 1)] = random.pick(starts)
    return copy
  },
  (body, _other, random) => {
    const from = random.between(0, body.length)
    const piece = body.subarray(from, random.between(from, body.length))
    return insert(body, piece, random)
  },
  // Long, and deep: one byte or one piece over and over.
  (body, _other, random) => {
    const piece = random.chance(0.5) ? [random.pick(starts)] : random.pick(builders)
    const times = 2 ** random.between(2, 12)
    return insert(body, Array.from({ length: times }, () => piece).flat(), random)
  },
  (body, _other, random) =>
    insert(
      body,
      Array.from({ length: random.between(1, 64) }, () => random.between(0, 255)),
      random,
    ),
]

export function mutateBytes(
  body: Uint8Array,
  other: Uint8Array,
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const edited = random.pick(edits)(body, other, random)
  return Uint8Array.from(edited.subarray(0, bytesMax))
}

function insert(body: Uint8Array, piece: ArrayLike<number>, random: SeededRandom): Uint8Array {
  const at = random.between(0, body.length)
  return join(body.subarray(0, at), Uint8Array.from(piece), body.subarray(at))
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Values at the edges of what fields hold, and of kinds that they do not. */
const edges: readonly unknown[] = [
  ...[0, -0, 1, -1, 2, 63, 64, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32, 2 ** 48],
  ...[Number.MAX_SAFE_INTEGER, 2 ** 53, 1e300, 0.5, -0.5, 1e-320, Number.NaN, Infinity, -Infinity],
  ...[
    '',
    ' ',
    '__proto__',
    'constructor',
    'toString',
    'any',
    'a',
    'b',
    'c',
    'cad',
    'even',
    '\u0000',
  ],
  ...['\u001b[2J', '\ud800', '\u202e', '../..', '*', '>', 'x'.repeat(129), 'x'.repeat(5_000), '0'],
  ...[null, undefined, true, false, [], {}, [[]], { __proto__x: 1 }],
  ...[new Uint8Array(0), new Uint8Array(16), new Uint8Array(513), new Uint8Array(70_000)],
]

interface Place {
  readonly holder: unknown[] | Record<string, unknown>
  readonly key: number | string
}

/** The same value with one thing changed somewhere in it. */
export function mutateValue(value: unknown, donor: unknown, random: SeededRandom): unknown {
  const root: unknown[] = [structuredClone(value)]
  const found = placesIn(root)
  const { holder, key } = random.pick(found)
  const put = (changed: unknown): void => void Reflect.set(holder, key, changed)
  const old: unknown = Reflect.get(holder, key)
  const way = random.between(0, 9)
  if (way <= 2) put(edges[random.between(0, edges.length - 1)])
  else if (way === 3 && typeof old === 'number') put(old * random.pick([-1, 2, 0.5, 1e9]))
  else if (way === 3 && typeof old === 'string') put(old + random.pick(['x', '.', '/1', ' ', old]))
  else if (way === 4 && typeof old === 'number') put(old + random.pick([-1, 1, 0.25, 1000]))
  else if (way === 5) remove(holder, key)
  else if (way === 6 && Array.isArray(holder)) holder.splice(Number(key), 0, old)
  else if (way === 6) Reflect.set(holder, random.pick(['extra', '__proto__x', '', 'v']), old)
  else if (way === 7) put(deep(old, random.between(1, 200), random.chance(0.5)))
  else if (way === 8) {
    const place = random.pick(placesIn([structuredClone(donor)]))
    put(Reflect.get(place.holder, place.key))
  } else if (Array.isArray(old)) {
    // A value in itself many times over would make the bytes of a few edits endless.
    const most = typeof old[0] === 'object' ? 4 : 1_200
    put(Array.from({ length: random.between(2, most) }, (): unknown => structuredClone(old[0])))
  } else put([old])
  return root[0]
}

function remove(holder: Place['holder'], key: number | string): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 1)
  else Reflect.deleteProperty(holder, key)
}

function deep(value: unknown, levels: number, inArrays: boolean): unknown {
  let nested = value
  for (let n = 0; n < levels; n++) nested = inArrays ? [nested] : { a: nested }
  return nested
}

/** Every place that holds a value; the first thousand of a large one. */
function placesIn(root: unknown[]): Place[] {
  const places: Place[] = []
  const open: unknown[] = [root]
  for (
    let holder = open.pop();
    holder !== undefined && places.length < 1_000;
    holder = open.pop()
  ) {
    if (!isHolder(holder)) continue
    for (const key of Array.isArray(holder) ? holder.keys() : Object.keys(holder)) {
      places.push({ holder, key })
      const inner: unknown = Reflect.get(holder, key)
      if (isHolder(inner)) open.push(inner)
    }
  }
  return places
}

function isHolder(value: unknown): value is unknown[] | Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
}
