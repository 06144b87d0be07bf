/**
 * Gets a real nats-server for the tests where this machine has none: `node dist/test/get-nats-server.js`.
 *
 * See `debian-package.ts`. Where there is no apt it says what to install and ends with code 1.
 */
import { dirname } from 'node:path'
import { cachedNatsServer, findNatsServer } from '../lib/nats-server.ts'
import { complaintOf, fetchPrograms } from './debian-package.ts'

const advice = [
  'No nats-server was found, and the tests run against a real one. Do one of these:',
  '  Debian, Ubuntu   apt-get install nats-server',
  '  macOS            brew install nats-server',
  '  elsewhere        https://github.com/nats-io/nats-server/releases',
  'then put it in PATH, or set LICD_NATS_SERVER to its path, and run the tests again.',
].join('\n')

function main(): number {
  const found = findNatsServer()
  if (found !== undefined) {
    console.log(`nats-server: ${found}`)
    return 0
  }
  const target = cachedNatsServer()
  try {
    fetchPrograms('nats-server', ['usr/sbin/nats-server'], dirname(target))
    console.log(`nats-server: ${target} (fetched with apt-get)`)
    return 0
  } catch (error) {
    console.error(`${advice}\n\n(${complaintOf(error)})`)
    return 1
  }
}

process.exitCode = main()
