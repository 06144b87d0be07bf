/** A pool of three processes loses two: what the third one does, and what people and programs are told of it. */
import { once } from 'node:events'
import t from 'tap'
import { connect } from '../../lib/index.ts'
import type { WhyView } from '../../lib/ctl/why.ts'
import { tableOf, WatchedPool, type StatusJson } from '../watched-pool.ts'
import { call } from './in-process.ts'

t.setTimeout(180_000)

t.test(
  'two of three killed: the third serves till its lease ends, says so, and is well again',
  async t => {
    // Long enough that what follows fits into one lease on a busy machine.
    await using watched = await WatchedPool.start({ tickMs: 200, leaseTicks: 100, seatTicks: 15 })
    const pool = watched.processes
    const [first = '', second = '', alone = ''] = pool.servers
    await pool.ctl(['feature', 'add', 'cad', '6', '--local'])
    await watched.until('all is shared out', status => tableOf(status, 'cad').shares[alone] === 2)
    const env = { LICD_NATS: pool.nats.url }
    const run = (line: string) => call(line.split(' '), { env })
    await using client = await connect({ nats: pool.nats.url, prefer: [alone] })
    const before = await client.acquire('cad')
    t.equal(before.server, alone)
    // How much of the rest is its own by then is chance; what is in use there is.
    const other = await client.acquire('cad')
    t.equal(other.server, alone)
    await Promise.all([pool.kill(first), pool.kill(second)])

    const renewed = once(before, 'renewed')
    await other.release()
    const seat = await client.acquire('cad')
    t.equal(seat.server, alone, 'it grants')
    await renewed
    const lost = Promise.all([once(before, 'lost'), once(seat, 'lost')])

    const status = await pool.ctl<StatusJson>(['status'], alone)
    t.match(status, { answeredBy: alone })
    t.ok(status.leaseLeftMs > 0 && status.leaseLeftMs < 20_000, 'how long it serves on')
    t.ok(status.tickAgeMs > 0, 'how old its knowledge is')
    const shown = await run(`ctl status --server ${alone}`)
    t.match(
      shown.stdout,
      new RegExp(`${alone} has not heard from a leader for .* s; what it knows`),
    )
    t.match(shown.stdout, /^It grants from its own share for another .* s, and then no more\.$/m)
    t.match(
      shown.stdout,
      new RegExp(`^${first} +\\? .* not known +[0-9.]+ m?s ago$`, 'm'),
      'it cannot speak for the others',
    )
    const hint = await client.acquire('cad', { count: 3 }).catch((error: unknown) => error)
    t.match(hint, { code: 'LICD_NO_SEAT' })
    const why = await run('ctl why cad')
    t.match(why.stdout, /says gamma, .* s old$/m)
    t.match(why.stdout, /To do: Get a majority of servers running .* look at\s+alpha, beta\./s)
    t.match(why.stdout, /leader +no leader was heard for .*: nothing can be borrowed$/m)
    for (const line of [...shown.stdout.split('\n'), ...why.stdout.split('\n')]) {
      if (line.length > 80) t.fail(`${line.length} columns: ${line}`)
    }

    const [[error]] = (await lost) as [[{ code: string }], unknown]
    t.equal(error.code, 'LICD_SEAT_LOST', 'no seat outlives the lease')
    await t.rejects(client.acquire('cad', { timeout: 1_000 }), {
      code: 'LICD_NO_LEASE',
      message: /Server gamma has not heard from a leader for .* s; .* its lease ended .* s ago\./,
    })
    const after = await pool.ctl<WhyView>(['why', 'cad'])
    t.match(
      after.servers.find(({ name }) => name === alone),
      {
        answered: true,
        mayGrantMs: 0,
        standing: { grantsForMs: 0, reason: /its lease ended/ },
      },
    )

    await pool.startServer(first)
    const again = await client.acquire('cad', { timeout: 30_000 })
    t.ok(again.valid, 'the majority is back')
  },
)
