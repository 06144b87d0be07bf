/**
 * Term and vote once more, in a small file of their own beside the database.
 *
 * A database whose log lost its last record forgets the vote with it, and nothing in it shows that; the server
 * could then vote twice in one term (paper, 5.2). Elections are rare, so a second fsync for them costs nothing.
 *
 * Two slots are written in turn: a torn write spoils the slot that nobody was told about yet.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { storageCall } from './folder-lock.ts'
import { isCount, isId, pack, unpack } from './record.ts'

export interface Vote {
  readonly currentTerm: number
  readonly votedFor: string | undefined
}

interface Slot extends Vote {
  /** Counts writes; the greater one is newer. */
  readonly seq: number
}

const slotBytes = 512

export class VoteFile {
  #file: FileHandle
  #last: Slot | undefined

  private constructor(file: FileHandle, last: Slot | undefined) {
    this.#file = file
    this.#last = last
  }

  /** @throws RaftError RAFT_STORAGE */
  static async open(path: string): Promise<VoteFile> {
    return storageCall(async () => {
      const file = await open(path, 'a+').then(async made => {
        await made.close()
        return open(path, 'r+')
      })
      const bytes = Buffer.alloc(2 * slotBytes)
      await file.read(bytes, 0, bytes.length, 0)
      const slots = [parse(bytes.subarray(0, slotBytes)), parse(bytes.subarray(slotBytes))]
      const found = slots.filter(slot => slot !== undefined).sort((a, b) => b.seq - a.seq)
      return new VoteFile(file, found[0])
    })
  }

  /** The newest vote that was written, or `undefined`: none was, or both slots are damaged. */
  get last(): (Vote & { readonly seq: number }) | undefined {
    return this.#last
  }

  /** Resolves when it is durable. One at a time. @throws RaftError RAFT_STORAGE */
  async write(vote: Vote): Promise<void> {
    const slot = { ...vote, seq: (this.#last?.seq ?? 0) + 1 }
    const body = pack([slot.seq, slot.currentTerm, slot.votedFor ?? null])
    const bytes = Buffer.alloc(slotBytes)
    bytes.writeUInt32BE(body.length, 4)
    bytes.set(body, 8)
    bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0)
    await storageCall(async () => {
      await this.#file.write(bytes, 0, slotBytes, (slot.seq % 2) * slotBytes)
      await this.#file.datasync()
    })
    this.#last = slot
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => {})
  }
}

function parse(bytes: Buffer): Slot | undefined {
  if (crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) return undefined
  const length = bytes.readUInt32BE(4)
  if (length === 0 || length > slotBytes - 8) return undefined
  const [seq, currentTerm, votedFor] = unpack(bytes.subarray(8, 8 + length)) ?? []
  if (!isCount(seq) || !isCount(currentTerm)) return undefined
  if (votedFor !== null && !isId(votedFor)) return undefined
  return { seq, currentTerm, votedFor: votedFor ?? undefined }
}
