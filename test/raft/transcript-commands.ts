/**
 * The commands of a transcript; what each does and prints is said at the head of transcript.ts.
 *
 * A command that finds nothing to do says so: a scenario that no longer happens must not pass unseen.
 */
import assert from 'node:assert/strict'
import type { ConfigurationChange } from '../../raft/core/configuration.ts'
import type { Entry } from '../../raft/core/entry.ts'
import { blankState, type Proposal } from '../../raft/core/input.ts'
import type { RaftSettings } from '../../raft/core/settings.ts'
import { forge } from './transcript-forge.ts'
import { choose, deliverAll, elect, run, waitFor } from './transcript-flow.ts'
import { held, type Held } from './transcript-server.ts'
import { configurationText, changeText, entryText, trustOf } from './transcript-words.ts'
import type { World } from './transcript-world.ts'

/** `name=value` words by name, and the others in order. */
export interface Arguments {
  readonly words: readonly string[]
  readonly options: ReadonlyMap<string, string>
}

export function parseArguments(text: readonly string[]): Arguments {
  const isOption = (word: string) => /^[A-Za-z]+=/.test(word)
  const pairs = text.filter(isOption).map((word): [string, string] => {
    const at = word.indexOf('=')
    return [word.slice(0, at), word.slice(at + 1)]
  })
  return { words: text.filter(word => !isOption(word)), options: new Map(pairs) }
}

type Command = (world: World, args: Arguments) => void

function word({ words }: Arguments, n: number): string {
  const value = words[n]
  assert(value !== undefined, `argument ${n + 1} is missing`)
  return value
}

function list(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split(',')
}

function count({ words }: Arguments, n: number): number {
  const text = words[n]
  if (text === undefined) return Infinity
  assert(/^\d+$/.test(text), `${text} is no number`)
  return Number(text)
}

function settingsOf({ options }: Arguments): Partial<RaftSettings> {
  const others = ['learners', 'blank']
  const pairs = [...options].filter(([name]) => !others.includes(name))
  return Object.fromEntries(pairs.map(([name, value]) => [name, Number(value)]))
}

function isHeld(kind: string): kind is Held {
  return held.some(known => known === kind)
}

function heldKind(args: Arguments): Held {
  const kind = args.words[1] ?? 'disk'
  assert(isHeld(kind), `${kind} cannot be held`)
  return kind
}

/** The servers that `*` or a name stands for. */
function who(world: World, name: string | undefined): string[] {
  if (name !== undefined && name !== '*') return [name]
  return world.all.map(({ id }) => id)
}

/** Changes what is on a disk that is not in use, and starts from it. */
function rewrite(world: World, id: string, change: (entries: readonly Entry[]) => object): void {
  const server = world.server(id)
  const wasUp = server.raft !== undefined
  server.crash()
  server.disk = { ...server.disk, ...change(server.disk.entries) }
  if (wasUp) world.start(server)
}

/** `x` or, padded to a size in bytes, `x:100`. */
function proposal(world: World, text: string): Proposal {
  const [name = '', size = '0'] = text.split(':')
  return { id: world.nameFor(name), data: new TextEncoder().encode(name.padEnd(Number(size), '~')) }
}

function logCommand(world: World, args: Arguments): void {
  const first = word(args, 0)
  if (!first.endsWith(':')) {
    for (const id of who(world, first)) {
      const { memory, disk, raft } = world.server(id)
      const entries = raft === undefined ? disk.entries : memory
      const more = raft === undefined ? 'down' : `commitIndex ${raft.commitIndex}`
      const base = disk.snapshot === undefined ? [] : [`snapshot ${disk.snapshot.id}`]
      const text = [...base, ...entries.map(entryText)].join(', ')
      world.say(`${id}: ${text === '' ? 'nothing' : text} (${more})`)
    }
    return
  }
  const terms = args.words.slice(1).map(Number)
  rewrite(world, first.slice(0, -1), ([founding]) => {
    assert(founding !== undefined && terms[0] === founding.term, 'the first entry stays')
    const data = new Uint8Array()
    const rest = terms.slice(1).map((term, n) => ({ kind: 'command', index: n + 2, term, data }))
    return { entries: [founding, ...rest], currentTerm: Math.max(...terms), votedFor: undefined }
  })
}

function status(world: World, id: string): void {
  const { raft, disk } = world.server(id)
  if (raft === undefined) return world.say(`${id} is down`)
  const { role, currentTerm, votedFor, leader, commitIndex, lastApplied, lastIndex } = raft
  const vote = votedFor === undefined ? '' : ` votedFor ${votedFor}`
  const follows = leader === undefined || leader === id ? '' : ` of ${leader}`
  const trust = trustOf(raft).concat(trustOf(disk))[0]
  const at = `commitIndex ${commitIndex} lastApplied ${lastApplied} lastIndex ${lastIndex}`
  const more = trust === undefined || trust === 'trust full' ? '' : ` ${trust}`
  const by = configurationText(raft.configuration)
  world.say(`${id} ${role}${follows} term ${currentTerm}${vote} ${at} ${by}${more}`)
}

function change(world: World, args: Arguments): void {
  const { options } = args
  const named: ConfigurationChange = Object.fromEntries(
    [...options].map(([name, ids]) => [name, list(ids)]),
  )
  const id = world.nameFor(changeText(named))
  world.step(word(args, 0), { type: 'changeConfiguration', id, change: named })
}

function cutLinks(world: World, words: readonly string[]): void {
  for (const link of words) {
    if (link.includes('>')) world.cut.add(link)
    else {
      for (const other of world.servers.keys()) {
        if (other !== link) world.cut.add(`${link}>${other}`).add(`${other}>${link}`)
      }
    }
  }
}

/** Every one of these must find something. */
function some(world: World, found: boolean): void {
  if (!found) world.say('NOTHING THERE')
}

export const commands: Readonly<Record<string, Command>> = {
  cluster(world, args) {
    const learners = list(args.options.get('learners'))
    world.found(args.words, learners, settingsOf(args))
    for (const id of list(args.options.get('blank'))) world.add(id, blankState, settingsOf(args))
  },
  add: (world, args) => world.add(word(args, 0), blankState, settingsOf(args)),
  log: logCommand,
  term(world, args) {
    const votedFor = args.options.get('vote')
    rewrite(world, word(args, 0), () => ({ currentTerm: count(args, 1), votedFor }))
  },

  elapse(world, args) {
    for (let ms = count(args, 1); ms > 0; ms -= 10) {
      for (const id of who(world, args.words[0])) {
        if (world.isUp(id)) world.step(id, { type: 'elapse', ms: Math.min(10, ms) })
      }
    }
  },
  campaign: (world, args) => void waitFor(world, word(args, 0)),
  wait(world, args) {
    const id = word(args, 0)
    const t = world.server(id).settings.electionTimeoutMs
    const times: number[] = []
    world.quietly(() => {
      for (let n = 0; n < count(args, 1); n++) times.push(waitFor(world, id))
    })
    const low = Math.min(...times)
    const high = Math.max(...times)
    const where = low >= t && high <= 2 * t ? 'each between T and 2T' : `from ${low} to ${high} ms`
    const spread = high - low > t / 4 ? ', over more than T/4' : ''
    world.say(`${id} campaigned ${times.length} times, ${where}${spread}`)
  },
  run: (world, args) => run(world, count(args, 0), args.words.slice(1)),
  elect: (world, args) => elect(world, word(args, 0), list(args.options.get('with'))),

  deliver(world, args) {
    const found = choose(world, args)
    some(world, found.length > 0)
    for (const message of found) {
      world.queue.splice(world.queue.indexOf(message), 1)
      world.arrive(message)
    }
  },
  drop(world, args) {
    const found = choose(world, args)
    some(world, found.length > 0)
    world.queue = world.queue.filter(message => !found.includes(message))
  },
  duplicate(world, args) {
    const found = choose(world, args)
    some(world, found.length > 0)
    world.queue.push(...found.map(message => ({ ...message })))
  },
  keep(world, args) {
    const [name = '', ...words] = args.words
    const found = choose(world, { words, options: args.options })
    assert.equal(found.length, 1, 'one message can be kept under a name')
    for (const message of found) world.kept.set(name, message)
    world.queue = world.queue.filter(message => !found.includes(message))
  },
  replay(world, args) {
    const message = world.kept.get(word(args, 0))
    assert(message !== undefined, 'nothing is kept under that name')
    world.arrive(message)
  },
  inject(world, args) {
    const message = forge(args)
    if (message === undefined) world.say('no message: dropped')
    else world.arrive(message)
  },
  stabilize: (world, { words }) => deliverAll(world, words),
  cut: (world, { words }) => cutLinks(world, words),
  heal(world, { words }) {
    if (words.length === 0) world.cut.clear()
    for (const link of [...world.cut]) {
      const [from = '', to = ''] = link.split('>')
      if (words.includes(link) || words.includes(from) || words.includes(to)) world.cut.delete(link)
    }
  },

  hold: (world, args) => void world.server(word(args, 0)).held.add(heldKind(args)),
  release: (world, args) => world.server(word(args, 0)).release(heldKind(args)),
  persist: (world, args) => some(world, world.server(word(args, 0)).persist(count(args, 1))),
  apply: (world, args) => some(world, world.server(word(args, 0)).apply(count(args, 1))),
  store(world, args) {
    const order = args.options.get('order') === 'newest' ? 'newest' : undefined
    some(world, world.server(word(args, 0)).storeChunks(count(args, 1), order))
  },
  crash(world, { words }) {
    for (const id of words) world.server(id).crash()
  },
  restart(world, { words, options }) {
    for (const id of words) {
      world.server(id).crash()
      world.start(world.server(id), Number(options.get('partial') ?? 0))
    }
  },
  wipe: (world, args) => rewrite(world, word(args, 0), () => blankState),
  lose(world, args) {
    rewrite(world, word(args, 0), entries => ({ entries: entries.slice(0, -count(args, 1)) }))
  },
  trust(world, args) {
    rewrite(world, word(args, 0), () => ({ trust: { kind: word(args, 1) } }))
  },

  propose(world, args) {
    const proposals = args.words.slice(1).map(text => proposal(world, text))
    world.step(word(args, 0), { type: 'propose', proposals })
  },
  /** For which nobody waits elsewhere. */
  'propose-patient'(world, args) {
    const proposals = args.words.slice(1).map(text => ({ ...proposal(world, text), patient: true }))
    world.step(word(args, 0), { type: 'propose', proposals })
  },
  tell(world, args) {
    world.step(word(args, 0), { type: 'tell', index: count(args, 1) })
  },
  read(world, args) {
    world.step(word(args, 0), { type: 'read', id: world.nameFor(args.words[1] ?? '') })
  },
  change,
  transfer(world, args) {
    const to = args.words[1]
    const id = world.nameFor(to === undefined ? '' : `to ${to}`)
    world.step(word(args, 0), { type: 'transfer', id, to })
  },
  unreachable(world, args) {
    world.step(word(args, 0), { type: 'unreachable', peer: word(args, 1) })
  },
  stall(world, args) {
    world.step(word(args, 0), { type: 'stalled', ms: count(args, 1) })
    world.step(word(args, 0), { type: 'elapse', ms: count(args, 1) })
  },
  'step-down': (world, args) => world.step(word(args, 0), { type: 'stepDown' }),
  snapshot(world, args) {
    const id = word(args, 0)
    const snapshot = world.server(id).saveSnapshot(Number(args.options.get('chunks') ?? 1))
    world.step(id, { type: 'snapshotSaved', snapshot })
  },

  status(world, args) {
    for (const id of who(world, args.words[0])) status(world, id)
  },
  machine(world, args) {
    for (const id of who(world, args.words[0])) {
      world.say(`${id}: [${world.server(id).machine.join(' ')}]`)
    }
  },
  queue(world) {
    if (world.queue.length === 0) world.say('nothing is under way')
    for (const message of world.queue) world.show(message)
  },
  hide(world, { words }) {
    for (const type of words) {
      if (type === 'rounds') world.rounds = false
      else world.hidden.add(type.toLowerCase())
    }
  },
  show(world, { words }) {
    for (const type of words) {
      if (type === 'rounds') world.rounds = true
      else world.hidden.delete(type.toLowerCase())
    }
  },
  check: world => world.say(world.checks.summary(world.all)),
}
