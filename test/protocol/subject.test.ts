import t from 'tap'
import { inboxOf, replyMax } from '../../lib/protocol/subject.ts'

t.test('where an answer goes: to what may be an inbox, and nowhere else', async t => {
  const longest = `_INBOX.${'a'.repeat(replyMax - 7)}`
  for (const reply of ['_INBOX.a.1', '_INBOX_me.a', 'answer', longest])
    t.equal(inboxOf(reply), reply)
  for (const reply of [undefined, 'licd.v1.default.event.gone.a', '$SYS.x', `${longest}a`]) {
    t.equal(inboxOf(reply), undefined)
  }
})
