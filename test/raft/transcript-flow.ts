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
  const { role } = raft
  for (let ms = 10; ms <= 3 * settings.electionTimeoutMs; ms += 10) {
    world.step(id, { type: 'elapse', ms: 10 })
    // One that is alone asks nobody.
    const isAlone = raft.role !== role && (raft.role === 'candidate' || raft.role === 'leader')
    if (asked() > before || isAlone) return ms
  }
  assert.fail(`${id} does not campaign`)
}

/** Time for those that still protect a leader, the leader too, until they do no longer; what they send is lost. */
function age(world: World, id: string, group: readonly string[]): void {
  const before = [...world.queue]
  for (const { id: other } of world.all) {
    if (other === id || (group.length > 0 && !group.includes(other))) continue
    const { raft, settings } = world.server(other)
    for (let ms = 0; ms <= settings.electionTimeoutMs; ms += 10) {
      if (raft === undefined || !raft.quorate) break
      world.step(other, { type: 'elapse', ms: 10 })
    }
  }
  world.queue = before
}

/** Makes `id` the leader, all in silence but the outcome: time for it alone, messages among `ids` or all. */
export function elect(world: World, id: string, ids: readonly string[]): void {
  const group = ids.length === 0 ? [] : [id, ...ids]
  world.quietly(() => {
    age(world, id, group)
    for (let ms = 0; ms < 20_000 && world.server(id).raft?.role !== 'leader'; ms += 10) {
      world.step(id, { type: 'elapse', ms: 10 })
      deliverAll(world, group)
    }
    deliverAll(world, group)
  })
  const { raft } = world.server(id)
  assert(
    raft !== undefined && raft.role === 'leader',
    `${id} is not elected: is a leader kept in office by what is under way?`,
  )
  world.say(`${id} leads term ${raft.currentTerm}, commitIndex ${raft.commitIndex}`)
}
