/**
 * Servers compare their states as they run (I5): a hash at the same index of the log, told to all members.
 *
 * Raft gives all servers the same commands, and no more: a defect in a state machine, or a flipped bit in memory,
 * makes one of them differ in silence. When a majority of the voters agrees on a hash and the own is another,
 * the own state is the wrong one: this server stops, and is taught anew. With no majority nobody can tell
 * whose is right: everyone says so, and goes on.
 *
 * Invariant: only hashes of one index and of one way of hashing are compared, so what is late, repeated or lost
 * accuses nobody.
 */
import { crc32 } from 'node:zlib'
import { membersOf, type Configuration } from './core/configuration.ts'
import { isCount, isId, pack, unpack } from './record.ts'

/** Indexes kept. Beyond them the lowest is forgotten: a server that is further behind is not compared there. */
const maxKept = 16
export const maxDigestLength = 256
const digestVersion = 1

export interface Digest {
  readonly from: string
  readonly index: number
  readonly hash: string
}

export interface DigestsOptions {
  readonly id: string
  readonly configuration: () => Configuration
  /** To all members. Lost ones are not repeated. */
  readonly tell: (digest: Digest) => void
  /** The own state differs from that of a majority. Called once. */
  readonly onWrong: (at: Disagreement) => void
  /** Another server's state differs from the own; once for each time that it begins to. */
  readonly onDiffers: (at: Disagreement) => void
}

export interface Disagreement {
  readonly index: number
  readonly own: string
  readonly other: string
  /** Who has the other hash, sorted. */
  readonly servers: readonly string[]
}

export class Digests {
  readonly #options: DigestsOptions
  /** Index -> server -> hash, the own among them. */
  readonly #kept = new Map<number, Map<string, string>>()
  /** Others that differ, as last compared, sorted; another list when that changes. */
  #differing: readonly string[] = []
  #isWrong = false

  constructor(options: DigestsOptions) {
    this.#options = options
  }

  /** Servers whose state differed from the own when it was last compared, sorted. */
  get differing(): readonly string[] {
    return this.#differing
  }

  /** The own state machine has applied `index` and hashes to this. */
  own(index: number, hash: string): void {
    this.#keep({ from: this.#options.id, index, hash })
    this.#options.tell({ from: this.#options.id, index, hash })
    this.#judge(index)
  }

  heard(digest: Digest): void {
    const { id, configuration } = this.#options
    if (digest.from === id || !membersOf(configuration()).includes(digest.from)) return
    if (this.#keep(digest)) this.#judge(digest.index)
  }

  /** The state machine took a snapshot: what it was before is judged no more. */
  restored(): void {
    this.#kept.clear()
  }

  #keep({ from, index, hash }: Digest): boolean {
    const lowest = Math.min(...this.#kept.keys())
    if (this.#kept.size >= maxKept && index < lowest) return false
    // Of members alone, so a handful.
    const known = this.#kept.get(index) ?? new Map<string, string>()
    known.set(from, hash)
    this.#kept.set(index, known)
    if (this.#kept.size > maxKept) this.#kept.delete(lowest)
    return true
  }

  #judge(index: number): void {
    const { id, configuration } = this.#options
    const hashes = this.#kept.get(index)
    const own = hashes?.get(id)
    if (hashes === undefined || own === undefined || this.#isWrong) return
    const others = new Map<string, string[]>()
    const differing = new Set(this.#differing)
    for (const server of [...hashes.keys()].sort()) {
      const hash: string = hashes.get(server) ?? own
      if (hash === own) differing.delete(server)
      else if (comparable(hash, own)) {
        others.set(hash, [...(others.get(hash) ?? []), server])
      }
    }
    const news: Disagreement[] = []
    for (const [other, servers] of others) {
      const at = { index, own, other, servers }
      if (isMajority(servers, configuration())) {
        this.#isWrong = true
        this.#options.onWrong(at)
        return
      }
      if (servers.some(server => !differing.has(server))) news.push(at)
      for (const server of servers) differing.add(server)
    }
    const sorted = [...differing].sort()
    if (sorted.join() !== this.#differing.join()) this.#differing = sorted
    for (const at of news) this.#options.onDiffers(at)
  }
}

/** What stands before the first `:` names the way of hashing: versions that hash in another way are not compared. */
function comparable(one: string, other: string): boolean {
  return wayOf(one) === wayOf(other)
}

function wayOf(hash: string): string {
  return hash.slice(0, hash.indexOf(':') + 1)
}

/** While a change of members is under way, of both sides. */
function isMajority(servers: readonly string[], { voters, outgoing }: Configuration): boolean {
  const sides = outgoing.length > 0 ? [voters, outgoing] : [voters]
  return sides.every(side => {
    const count = side.filter(voter => servers.includes(voter)).length
    return 2 * count > side.length
  })
}

/** Bytes for the wire: CRC32, then a msgpack array. */
export function encodeDigest({ from, index, hash }: Digest, cluster: number): Uint8Array {
  const body = pack([digestVersion, cluster, from, index, hash])
  const bytes = Buffer.allocUnsafe(4 + body.length)
  bytes.writeUInt32BE(crc32(body), 0)
  bytes.set(body, 4)
  return bytes
}

/** `undefined` for what is damaged, of another cluster or version, or no digest at all. */
export function decodeDigest(data: Uint8Array, cluster: number): Digest | undefined {
  if (data.length <= 4 || data.length > 1024) return undefined
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const body = bytes.subarray(4)
  if (crc32(body) !== bytes.readUInt32BE(0)) return undefined
  const row = unpack(body)
  if (row === undefined || row.length !== 5) return undefined
  const [version, of, from, index, hash] = row
  if (version !== digestVersion || of !== cluster || !isId(from) || !isCount(index))
    return undefined
  return typeof hash === 'string' && hash.length <= maxDigestLength
    ? { from, index, hash }
    : undefined
}
