/**
 * Msgpack as licd reads it: plain values, and nothing else.
 *
 * The library also builds records (with code made for each shape), errors, dates, sets, regular expressions and whole
 * numbers of any length out of bytes alone. Nobody here sends them, and they cost what they like: 256 KiB of errors took
 * three seconds to read. So the bytes are walked first, which allocates nothing and takes a few nanoseconds a value.
 */
import type { Unpackr } from 'msgpackr'

/** What `undefined` is written as: a field that an object has, without a value. */
const ofUndefined = 0x00

/**
 * The value that the bytes hold; `undefined` when they are not exactly one plain msgpack value: cut off, with bytes left
 * over, with an extension in it, nested beyond the stack. Never throws.
 */
export function unpackPlain(unpackr: Unpackr, data: Uint8Array): unknown {
  if (!isPlain(data)) return undefined
  try {
    const value: unknown = unpackr.unpack(data)
    return value
  } catch {
    // What is left is nesting beyond the stack, or a key that is none: the bytes hold no message.
    return undefined
  }
}

/** Whether the bytes are one whole value of msgpack's own types. A walk over its tokens, containers laid flat. */
export function isPlain(data: Uint8Array): boolean {
  const { length } = data
  let at = 0
  // Values still to come; each is a byte at least, so that a claimed length cannot make it long.
  let due = 1
  while (due > 0) {
    if (due > length - at) return false
    const token = data[at++] ?? 0
    due--
    if (token < 0x80 || token >= 0xe0) continue
    if (token < 0x90) due += 2 * (token & 0x0f)
    else if (token < 0xa0) due += token & 0x0f
    else if (token < 0xc0) at += token & 0x1f
    // The two that most messages are made of.
    else if (token === 0xc4 || token === 0xd9) at += 1 + (data[at] ?? 0)
    else {
      const step = wide(data, token, at)
      if (step === undefined) return false
      at = step.at
      due += step.due
    }
  }
  return at === length
}

/** Where a value that is told by a byte of its own ends, and how many values follow in it. */
function wide(
  data: Uint8Array,
  token: number,
  at: number,
): { readonly at: number; readonly due: number } | undefined {
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return { at, due: 0 }
    case 0xcc:
    case 0xd0:
      return { at: at + 1, due: 0 }
    case 0xcd:
    case 0xd1:
      return { at: at + 2, due: 0 }
    case 0xca:
    case 0xce:
    case 0xd2:
      return { at: at + 4, due: 0 }
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return { at: at + 8, due: 0 }
    case 0xc5:
    case 0xda:
      return { at: at + 2 + whole(data, at, 2), due: 0 }
    case 0xc6:
    case 0xdb:
      return { at: at + 4 + whole(data, at, 4), due: 0 }
    case 0xdc:
      return { at: at + 2, due: whole(data, at, 2) }
    case 0xdd:
      return { at: at + 4, due: whole(data, at, 4) }
    case 0xde:
      return { at: at + 2, due: 2 * whole(data, at, 2) }
    case 0xdf:
      return { at: at + 4, due: 2 * whole(data, at, 4) }
    case 0xd4:
      return data[at] === ofUndefined ? { at: at + 2, due: 0 } : undefined
    default:
      return undefined
  }
}

function whole(data: Uint8Array, at: number, bytes: number): number {
  let value = 0
  for (let n = 0; n < bytes; n++) value = value * 256 + (data[at + n] ?? 0)
  return value
}
