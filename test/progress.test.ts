/** The line that says what a program does: on a terminal alone, after a second, and gone in the end. */
import t from 'tap'
import { Progress } from '../lib/progress.ts'

/** A clock that is moved by hand, and a terminal whose last line is kept. */
function world({ isTTY = true, columns = 80 } = {}) {
  let now = 5
  const timers = new Set<{ at: number; fire: () => void }>()
  const clock = {
    now: () => now,
    after: (ms: number, fire: () => void) => {
      const timer = { at: now + ms, fire }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
  }
  let written = ''
  const stream = { isTTY, columns, write: (text: string) => void (written += text) }
  return {
    clock,
    stream,
    timers,
    pass: (ms: number) => {
      for (const end = now + ms; ;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) return void (now = end)
        now = next.at
        timers.delete(next)
        next.fire()
      }
    },
    written: () => written,
    line: () => written.slice(written.lastIndexOf('\u001b[K') + 3),
  }
}

t.test('what is over within a second shows nothing', t => {
  const { clock, stream, timers, pass, written } = world()
  const progress = new Progress(stream, clock)
  progress.say('writing')
  pass(900)
  progress.clear()
  pass(5_000)
  t.equal(written(), '')
  t.equal(timers.size, 0, 'nothing is left that would keep a process')
  t.end()
})

t.test('after a second a line is redrawn, with how long it takes', t => {
  const { clock, stream, timers, pass, line, written } = world()
  const progress = new Progress(stream, clock)
  progress.say('reading: 1 MB')
  pass(1_000)
  t.equal(line(), 'reading: 1 MB, 1 s')
  pass(500)
  progress.say('reading: 2 MB')
  t.equal(line(), 'reading: 2 MB, 1 s')
  pass(2_500)
  t.equal(line(), 'reading: 2 MB, 3 s', 'it goes on by itself')
  const before = written().length
  for (let n = 0; n < 1_000; n++) progress.say(`reading: ${n} MB`)
  t.ok(written().length - before < 200, 'however often it is told')
  pass(1_000)
  t.match(line(), /^reading: 999 MB, 5 s$/)
  progress.above(() => void stream.write('a result\n'))
  t.match(written(), /\r\u001b\[Ka result\n\r\u001b\[Kreading: 999 MB, 5 s$/)
  progress.clear()
  t.equal(line(), '')
  t.equal(timers.size, 0)
  t.end()
})

t.test('it is one line', t => {
  const { clock, stream, pass, line } = world({ columns: 40 })
  const progress = new Progress(stream, clock)
  progress.say('x'.repeat(100))
  pass(12_000)
  t.equal(line().length, 39)
  t.match(line(), /x…, 12 s$/)
  progress.clear()
  t.end()
})

t.test('nothing where there is no terminal to redraw a line on', t => {
  for (const [isTTY, term] of [
    [false, 'xterm'],
    [true, 'dumb'],
  ] as const) {
    const { clock, stream, pass, written, timers } = world({ isTTY })
    const progress = new Progress(stream, clock, term)
    t.equal(progress.isShown, false)
    progress.say('writing')
    pass(10_000)
    progress.above(() => void stream.write('a result\n'))
    progress.clear()
    t.equal(written(), 'a result\n')
    t.equal(timers.size, 0)
  }
  t.end()
})
