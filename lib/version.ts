/** The version of this package, as its package.json says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageFolder } from './nats-server.ts'

export function packageVersion(): string {
  const value: unknown = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8'))
  const isPackage = typeof value === 'object' && value !== null && 'version' in value
  return isPackage ? String(value.version) : 'unknown'
}
