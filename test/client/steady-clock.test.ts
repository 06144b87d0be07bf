import t from 'tap'
import { SteadyClock } from '../../lib/client/steady-clock.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

for (const hasUptime of [true, false]) {
  t.test(
    `R4 - a host that slept for 0.3 s is noticed, ${hasUptime ? 'by uptime' : 'by the wall'}`,
    async t => {
      const time = new VirtualTime()
      const clock = new VirtualClock(time, { hasUptime })
      const steady = new SteadyClock(clock)
      time.run(5_000)
      const before = steady.now()
      t.equal(steady.epoch, 0)
      clock.pause(true)
      time.run(300)
      clock.resume()
      time.run(100)
      t.equal(steady.epoch, 1, 'what was promised before is not believed')
      t.ok(Math.abs(steady.now() - before - 400) < 2, 'and the time it took counts')
    },
  )
}

for (const hasUptime of [true, false]) {
  t.test(
    `R4 - naps too short to be called a sleep count as time, ${hasUptime ? 'by uptime' : 'by the wall'}`,
    async t => {
      const time = new VirtualTime()
      const clock = new VirtualClock(time, { hasUptime })
      const steady = new SteadyClock(clock)
      const before = steady.now() - time.now
      for (let n = 0; n < 200; n++) {
        clock.pause(true)
        time.run(n % 180)
        clock.resume()
        time.run(20)
        const behindMs = before + time.now - steady.now()
        t.ok(behindMs < 17 && behindMs > -2, `${behindMs} ms behind`)
      }
      t.equal(steady.epoch, 0)
    },
  )
}

t.test('a wall clock that is corrected a little, or set back, is no sleep', async t => {
  const time = new VirtualTime()
  const clock = new VirtualClock(time, { hasUptime: false })
  const steady = new SteadyClock(clock)
  for (const ms of [150, -86_400_000, 150]) {
    clock.jumpWall(ms)
    time.run(1_000)
    t.equal(steady.epoch, 0)
  }
  t.ok(Math.abs(steady.now() - clock.now() - 300) < 2, 'what it was set ahead counts as time')
})
