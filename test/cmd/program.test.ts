// What a command tells of an error.
import t from 'tap'
import { messageOf } from '../../cmd/program.ts'
import { LicdError } from '../../lib/error.ts'

t.test('when to try again is said once, whatever the code says by itself', t => {
  const busy = (retryAfterMs: number): string =>
    messageOf(
      new LicdError('LICD_TOO_BUSY', 'The server takes an account just now.', { retryAfterMs }),
    )
  for (const [ms, text] of [
    [500, 'Try again in 0.5 s.'],
    [3, 'Try again in 0.1 s.'],
    [240_000, 'Try again in 4 min.'],
  ] as const) {
    t.ok(busy(ms).endsWith(` ${text}`), busy(ms))
    t.equal(busy(ms).match(/ in /g)?.length, 1, 'one time')
    t.notMatch(busy(ms), /few|later/)
  }
  t.notMatch(messageOf(new LicdError('LICD_TOO_BUSY')), /\d/)
  t.end()
})
