import t from 'tap'
import { complaints } from '../../raft/complaints.ts'
import { silentLogger } from '../../raft/ports.ts'

t.test(
  'the same complaint again and again is a line now and then, which says how many there were',
  async t => {
    const told: unknown[] = []
    let at = 0
    const log = {
      ...silentLogger,
      warn: (_event: string, fields?: object) => void told.push(fields),
    }
    const complain = complaints(log, () => at)
    for (let n = 0; n < 1_000; n++) complain('PERMISSIONS_VIOLATION')
    t.strictSame(told, [{ cause: 'PERMISSIONS_VIOLATION' }])
    complain('ANOTHER')
    t.strictSame(told.slice(1), [{ cause: 'ANOTHER', untold: 999 }])
    at += 10_000
    complain('ANOTHER')
    t.strictSame(told.slice(2), [{ cause: 'ANOTHER' }])
  },
)
