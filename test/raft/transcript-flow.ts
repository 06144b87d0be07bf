/** How messages are chosen from the queue, and the commands that let many steps happen. */
import assert from 'node:assert/strict'
import type { Message } from '../../raft/core/message.ts'
import type { Arguments } from './transcript-commands.ts'
import type { World } from './transcript-world.ts'

const bound = 10_000

/**
 * `a>b`, `a>*`, `*>b` or `*`, then a type, then how many of those that fit (the oldest). `nth=2` takes the second alone,
 * `order=newest` the newest first.
 */
export function choose(world: World, { words, options }: Arguments): Message[] {
  const [link = '*', ...more] = words
  const [from = '*', to = '*'] = link.split('>')
  const type = more.find(text => !/^\d+$/.test(text))?.toLowerCase()
  const most = Number(more.find(text => /^\d+$/.test(text)) ?? Infinity)
  const fits = world.queue.filter(
    message =>
      (from === '*' || message.from === from) &&
      (to === '*' || message.to === to) &&
      (type === undefined || message.type.toLowerCase() === type),
  )
  const nth = options.get('nth')
  if (nth !== undefined) return fits.slice(Number(nth) - 1, Number(nth))
  return (options.get('order') === 'newest' ? fits.reverse() : fits).slice(0, most)
}

/** Delivers, among `ids` or all, until nothing is under way between them. */
export function deliverAll(world: World, ids: readonly string[]): void {
  const fits = ({ from, to }: Message) =>
    ids.length === 0 || (ids.includes(from) && ids.includes(to))
  for (let n = 0; ; n++) {
    assert(n < bound, 'it never ends')
    const at = world.queue.findIndex(fits)
    const [message] = at < 0 ? [] : world.queue.splice(at, 1)
    if (message === undefined) return
    world.arrive(message)
  }
}

/** Time and messages for some servers or all; heartbeats are shown only where they do something. */
export function run(world: World, ms: number, ids: readonly string[]): void {
  const before = [...world.hidden]
  world.hidden.add('heartbeat').add('heartbeatreply')
  for (let passed = 0; passed < ms; passed += 10) {
    for (const { id } of world.all) {
      if (world.isUp(id) && (ids.length === 0 || ids.includes(id))) {
        world.step(id, { type: 'elapse', ms: 10 })
      }
    }
    deliverAll(world, ids)
  }
  world.hidden.clear()
  for (const type of before) world.hidden.add(type)
}

/** Time for one server until it asks for votes anew. @returns how long. */
export function waitFor(world: World, id: string): number {
  const asked = () =>
    world.queue.filter(({ from, type }) => from === id && type === 'preVote').length
  const { raft, settings } = world.server(id)
  assert(raft !== undefined, `${id} is down`)
  const before = asked()
  const isOver = () =>
    asked() > before || (raft.role !== 'follower' && raft.role !== 'preCandidate')
  for (let ms = 0; ms <= 3 * settings.electionTimeoutMs; ms += 10) {
    if (ms > 0 && isOver()) return ms
    world.step(id, { type: 'elapse', ms: 10 })
    if (raft.role === 'leader') return ms + 10
  }
  assert.fail(`${id} does not campaign`)
}

/** Makes `id` the leader, all in silence but the outcome: time for it alone, messages among `ids` or all. */
export function elect(world: World, id: string, ids: readonly string[]): void {
  const group = ids.length === 0 ? [] : [id, ...ids]
  world.quietly(() => {
    for (let ms = 0; ms < 60_000 && world.server(id).raft?.role !== 'leader'; ms += 10) {
      world.step(id, { type: 'elapse', ms: 10 })
      deliverAll(world, group)
    }
    deliverAll(world, group)
  })
  const { raft } = world.server(id)
  assert(raft !== undefined && raft.role === 'leader', `${id} is not elected`)
  world.say(`${id} leads term ${raft.currentTerm}, commitIndex ${raft.commitIndex}`)
}
