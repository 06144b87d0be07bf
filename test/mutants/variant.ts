/**
 * A second build of everything, with one file changed: all others are hard links to the first.
 *
 * It lies in the project, so that packages are found from it, and in a folder that git, lint and tests do not see.
 */
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Mutant, planted } from './mutant.ts'

/** Of the build that this file is part of. */
export const build = fileURLToPath(new URL('../../', import.meta.url))

const folders = ['raft', 'lib', 'cmd', 'bench', 'test']

export interface Variant {
  readonly folder: string
  remove(): void
}

/** Builds the variant of a mutant. The caller removes it. */
export function makeVariant(mutant: Mutant): Variant {
  const source = readFileSync(join(build, mutant.file), 'utf8')
  const text = planted(source, mutant)
  const parent = join(projectOf(build), '.build')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'variant-'))
  for (const name of folders) linkAll(join(build, name), join(folder, name))
  const path = join(folder, mutant.file)
  // Unlinked first: the link leads to the very file of the first build.
  rmSync(path)
  writeFileSync(path, text)
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

function linkAll(from: string, to: string): void {
  if (!existsSync(from)) return
  mkdirSync(to)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) linkAll(source, target)
    else if (!/\.(map|d\.ts)$/.test(entry.name)) link(source, target)
  }
}

function link(source: string, target: string): void {
  try {
    linkSync(source, target)
  } catch {
    copyFileSync(source, target)
  }
}

/** The nearest folder at or above `path` with a package.json. */
export function projectOf(path: string): string {
  if (existsSync(join(path, 'package.json'))) return path
  const parent = dirname(path)
  if (parent === path) throw new Error('no package.json above the build')
  return projectOf(parent)
}
