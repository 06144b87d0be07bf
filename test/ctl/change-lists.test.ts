// Changes of one turn in one message, to a server that said that it takes them so; and what comes of those it does not take.
import t from 'tap'
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { ctlBounds } from '../../lib/protocol/ctl.ts'
import { addServer, applied, makeWorld, packr, settle } from './scripted-ctl.ts'

const told = { ...applied, leader: 'alpha', atOnce: ctlBounds.changesAtOnce }
const add = (client: CtlClient, count: number) =>
  client.change('allocations-add', { feature: 'cad', count })

/** Answers each request of a list by the count that it asks for. */
function answerAll(list: readonly { readonly count?: number }[]): [number, object][] {
  return list.map(({ count = 0 }, place) => [
    place,
    { ...told, server: 'alpha', revision: 1_000 + count },
  ])
}

function counts(sum: number): number[] {
  return Array.from({ length: sum }, (_, n) => n + 1)
}

t.test('once the leader has said so, changes of one turn go in one message', async t => {
  const world = makeWorld()
  const lists: number[] = []
  const { asked } = addServer(world, 'alpha', (_operation, request: unknown) => {
    if (!Array.isArray(request)) return told
    lists.push(request.length)
    return packr.pack(answerAll(request).reverse())
  })
  const client = world.client()
  t.match(await settle(world, Promise.all([add(client, 1), add(client, 2)])), [applied, applied])
  t.equal(asked.length, 2, 'nobody had said so before')
  const changed = await settle(world, Promise.all(counts(100).map(count => add(client, count))))
  t.strictSame(
    changed.map(({ revision }) => revision),
    counts(100).map(count => 1_000 + count),
    'each its own answer',
  )
  t.strictSame(lists, [ctlBounds.changesAtOnce, 100 - ctlBounds.changesAtOnce])
  await settle(world, add(client, 3))
  t.equal(asked.length, 5, 'one alone is no list')
})

t.test('answers come one by one, and what is not answered is asked for again', async t => {
  const world = makeWorld()
  const ids: unknown[] = []
  const { bus } = addServer(world, 'alpha', (_operation, request: unknown) => {
    if (!Array.isArray(request)) {
      ids.push((request as { id: string }).id)
      return told
    }
    ids.push(...(request as { id: string }[]).map(({ id }) => id))
    const [first, , third] = answerAll(request)
    const nobodys = [[7, told], [-1, told], ['x', told], 3]
    return packr.pack([first, ...nobodys, third, third])
  })
  const client = world.client()
  await settle(world, add(client, 1))
  ids.length = 0
  const changed = await settle(world, Promise.all(counts(4).map(count => add(client, count))))
  t.strictSame(
    changed.map(({ revision }) => revision),
    [1_001, applied.revision, 1_003, applied.revision],
  )
  t.strictSame(ids.slice(4), [ids[1], ids[3]], 'by itself, with the same id')
  bus.close()
  await t.rejects(settle(world, Promise.all([add(client, 1), add(client, 2)])), {
    code: 'LICD_NO_SERVER',
  })
})

t.test('a server of before refuses the list: each is asked for by itself', async t => {
  const world = makeWorld()
  let isOld = false
  const { asked } = addServer(world, 'alpha', (_operation, request: unknown) => {
    if (!Array.isArray(request)) return isOld ? { ...applied, leader: 'alpha' } : told
    return { ok: false, code: 'LICD_BAD_REQUEST', detail: 'The request is no msgpack object.' }
  })
  const client = world.client()
  await settle(world, add(client, 1))
  isOld = true
  await settle(world, Promise.all([add(client, 2), add(client, 3)]))
  t.equal(asked.length, 4, 'the first, the list, and its two')
  await settle(world, Promise.all([add(client, 4), add(client, 5)]))
  t.equal(asked.length, 6, 'and no list any more')
})

t.test('what waits for the end of the turn is not sent by a client that closes first', async t => {
  const world = makeWorld()
  const { asked } = addServer(world, 'alpha', () => told)
  const client = world.client()
  await settle(world, add(client, 1))
  const closed = t.rejects(Promise.all([add(client, 2), add(client, 3)]), { code: 'LICD_CLOSED' })
  client.close()
  await settle(world, closed)
  await settle(world, add(world.client(), 4))
  t.equal(asked.length, 2, 'the first and the last')
})
