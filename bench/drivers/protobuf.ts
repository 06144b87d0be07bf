/** As much of protobuf as etcd's few messages need: numbers below 2^53 and bytes. */

export type Field = readonly [number: number, value: number | string | Uint8Array]

/** A message from its fields; zeros are left out by the caller, as protobuf has it. */
export function encode(fields: readonly Field[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const [number, value] of fields) {
    if (typeof value === 'number') {
      parts.push(varint(number << 3), varint(value))
      continue
    }
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    parts.push(varint((number << 3) | 2), varint(bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

/** The fields of a message: bytes as they are, numbers as bigint, since ids take all 64 bits. */
export class Message {
  readonly #fields = new Map<number, (bigint | Uint8Array)[]>()

  constructor(data: Uint8Array) {
    let at = 0
    const read = (): bigint => {
      let value = 0n
      for (let shift = 0n; ; shift += 7n) {
        const byte = data[at++] ?? 0
        value |= BigInt(byte & 127) << shift
        if (byte < 128) return value
      }
    }
    while (at < data.length) {
      const key = Number(read())
      const kind = key & 7
      if (kind !== 0 && kind !== 2) throw new Error(`a field of kind ${kind} is not known here`)
      const value = read()
      const field = kind === 0 ? value : data.subarray(at, at + Number(value))
      if (kind === 2) at += Number(value)
      const known = this.#fields.get(key >> 3)
      if (known === undefined) this.#fields.set(key >> 3, [field])
      else known.push(field)
    }
  }

  number(field: number): bigint {
    const value = this.#fields.get(field)?.[0]
    return typeof value === 'bigint' ? value : 0n
  }

  bytes(field: number): Uint8Array | undefined {
    const value = this.#fields.get(field)?.[0]
    return value instanceof Uint8Array ? value : undefined
  }

  message(field: number): Message | undefined {
    const bytes = this.bytes(field)
    return bytes === undefined ? undefined : new Message(bytes)
  }
}
