/**
 * Filesystems that a bench may fill or freeze: a tmpfs, or an ext4 in a file. Both need the right to mount.
 */
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

export type Kind = 'tmpfs' | 'ext4'

/** Why this machine cannot do it, or `undefined`. Tried, not guessed. */
export function problemOf(kind: Kind, folder: string): string | undefined {
  try {
    const mount = Mount.make(kind, join(folder, `try-${kind}`), 16)
    if (kind === 'ext4') {
      mount.freeze()
      mount.thaw()
    }
    mount.remove()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

export class Mount {
  readonly path: string
  readonly #image: string | undefined
  #isFrozen = false

  private constructor(path: string, image: string | undefined) {
    this.path = path
    this.#image = image
  }

  /** @throws Error with what the system said */
  static make(kind: Kind, path: string, megabytes: number): Mount {
    mkdirSync(path, { recursive: true })
    if (kind === 'tmpfs') {
      run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path])
      return new Mount(path, undefined)
    }
    const image = `${path}.image`
    writeFileSync(image, '')
    truncateSync(image, megabytes * 1024 * 1024)
    run('mkfs.ext4', ['-q', '-m', '0', image])
    run('mount', ['-o', 'loop', image, path])
    return new Mount(path, image)
  }

  /** Writes until nothing more fits, or until so many megabytes are free. */
  fill(leaveMegabytes = 0): void {
    const file = openSync(join(this.path, 'filler'), 'a')
    const block = Buffer.alloc(1024 * 1024)
    for (let bytes = block.length; bytes >= 1;) {
      const { bavail, bsize } = statfsSync(this.path)
      if (bavail * bsize <= leaveMegabytes * 1024 * 1024 && leaveMegabytes > 0) break
      try {
        writeSync(file, block, 0, bytes)
      } catch {
        bytes = Math.floor(bytes / 2)
      }
    }
    closeSync(file)
  }

  empty(): void {
    rmSync(join(this.path, 'filler'), { force: true })
  }

  /** From now on every write waits. */
  freeze(): void {
    const file = openSync(this.path, 'r')
    fsyncSync(file)
    closeSync(file)
    run('fsfreeze', ['-f', this.path])
    this.#isFrozen = true
  }

  thaw(): void {
    if (this.#isFrozen) run('fsfreeze', ['-u', this.path])
    this.#isFrozen = false
  }

  remove(): void {
    this.thaw()
    run('umount', [this.path])
    if (this.#image !== undefined) rmSync(this.#image)
  }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined) throw new Error(`${command}: ${error.message}`)
  if (status !== 0) throw new Error(`${command}: ${stderr.trim()}`)
}
