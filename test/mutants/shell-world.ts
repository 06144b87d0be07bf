/**
 * Three nodes in the small world of the shell's tests, under whatever befalls them: crashes, pauses, lost messages,
 * partitions, disks that are slow. Real core, driver, codec; a few milliseconds a seed.
 *
 * What was acknowledged is there, once, in one order, everywhere; what was refused is nowhere; a read sees all that was
 * acknowledged before it; every caller hears, once; nobody stops by himself; old snapshots go.
 */
import assert from 'node:assert/strict'
import { World, worldSettings, type Process } from '../raft/world.ts'
import type { Killer } from './killers.ts'

const T = worldSettings.electionTimeoutMs
const ids = ['a', 'b', 'c'] as const
const steps = 120

class Run {
  readonly #world: World
  /** What callbacks saw: what they throw, the node takes for a defect of theirs. */
  readonly #wrong: string[] = []
  /** Commands by what their callers heard. */
  /** With the term in which its caller heard. */
  readonly #committed = new Map<string, number>()
  readonly #refused = new Set<string>()
  /** Calls at a node that still runs, and since when. */
  readonly #open = new Map<string, { readonly at: Process; readonly since: number }>()
  #next = 0

  constructor(seed: number) {
    const settings = { ...worldSettings, trailingEntries: seed % 4 }
    const extra = { settings, snapshotEveryEntries: 6 + (seed % 3) * 10 }
    this.#world = new World(seed, extra)
    this.#world.found(ids)
    for (const id of ids) this.#watch(this.#world.process(id))
  }

  run(): void {
    const world = this.#world
    world.run(2 * T)
    for (let step = 0; step < steps; step++) {
      if (this.#between(0, 2) === 0) this.#misfortune()
      for (let n = this.#between(0, 4); n > 0; n--) this.#ask()
      world.run(this.#between(5, 250))
      this.#checkOpen()
      assert.deepEqual(this.#wrong, [])
    }
    this.#heal()
    this.#check()
  }

  #between(low: number, high: number): number {
    return low + Math.floor(this.#world.random() * (high - low + 1))
  }

  #pick(): Process | undefined {
    const all = [...this.#world.processes.values()]
    return all[this.#between(0, all.length - 1)]
  }

  #watch(process: Process): void {
    process.node.onStatus(({ role, term }) => {
      if (role !== 'leader') return
      // Of later terms a leader that was paused or cut off has yet to hear.
      const missing = [...this.#committed]
        .filter(([line, of]) => of < term && !process.machine.lines.includes(line))
        .map(([line]) => line)
      if (missing.length > 0) this.#wrong.push(`${process.id} leads without ${missing.join()}`)
    })
    process.node.onFatal(error => this.#wrong.push(`${process.id} stops: ${error.message}`))
  }

  #start(id: string): void {
    if (!this.#world.processes.has(id)) this.#watch(this.#world.start(id))
  }

  #ask(): void {
    const process = this.#world.leader ?? this.#pick()
    if (process === undefined) return
    const name = `command ${this.#next++}`
    this.#open.set(name, { at: process, since: this.#world.now })
    process.node.propose(Buffer.from(name), ({ outcome }) => {
      if (!this.#open.delete(name)) this.#wrong.push(`the caller of ${name} hears twice`)
      if (outcome === 'committed') this.#committed.set(name, process.node.status.term)
      if (outcome === 'refused') this.#refused.add(name)
      if (outcome !== 'committed') return
      if (!process.machine.lines.includes(name)) this.#wrong.push(`${name} is not applied`)
    })
    const reader = this.#pick()
    const before = [...this.#committed.keys()]
    reader?.node.readIndex(({ ok }) => {
      const missing = ok ? before.filter(line => !reader.machine.lines.includes(line)) : []
      if (missing.length > 0)
        this.#wrong.push(`a stale read at ${reader?.id}: no ${missing.join()}`)
    })
  }

  #misfortune(): void {
    const world = this.#world
    const process = this.#pick()
    if (process === undefined) return
    switch (this.#between(0, 9)) {
      case 0:
      case 1:
        for (const [name, { at }] of this.#open) if (at === process) this.#open.delete(name)
        return world.crash(process.id)
      case 2:
      case 3:
        return ids.forEach(id => this.#start(id))
      case 4:
        process.pausedUntil = world.now + this.#between(100, 3 * T)
        return
      case 5:
        process.isolated = true
        return
      case 6:
        for (const one of world.processes.values()) one.isolated = false
        return
      case 7:
        // A write that hangs never comes to its end.
        if (process.diskMs !== Infinity) process.diskMs = this.#between(1, 300)
        return
      case 8:
        world.loss = this.#between(0, 3) / 10
        return
      default:
        // One at a time: the others are a majority.
        if ([...world.processes.values()].some(({ diskMs }) => diskMs === Infinity)) return
        process.diskMs = Infinity
    }
  }

  #heal(): void {
    const world = this.#world
    world.loss = 0
    for (const id of ids) this.#start(id)
    for (const process of world.processes.values()) {
      process.isolated = false
      process.pausedUntil = 0
      if (process.diskMs !== Infinity) process.diskMs = 2
    }
    assert.deepEqual(this.#wrong, [])
    const last = this.#commitLast(world.now + 12 * T)
    const isEverywhere = (): boolean =>
      this.#sound().every(({ machine }) => machine.lines.at(-1) === last)
    assert(world.until(isEverywhere, 12 * T), 'all have all')
    world.run(6 * T)
  }

  /** One that was deposed while it was paused says for a moment still that it leads, and refuses. */
  #commitLast(end: number): string {
    const world = this.#world
    for (let n = 0; world.now < end; n++) {
      const { leader } = world
      if (leader !== undefined) {
        const name = `last ${n}`
        world.propose(leader, name)
        world.until(() => leader.outcomes.has(name), end - world.now)
        if (leader.outcomes.get(name)?.outcome === 'committed') return name
      }
      world.run(10)
    }
    return assert.fail('somebody leads')
  }

  #sound(): Process[] {
    return [...this.#world.processes.values()].filter(({ diskMs }) => diskMs !== Infinity)
  }

  /** A node gives up on a proposal after five election timeouts, if it runs. */
  #checkOpen(): void {
    const { now } = this.#world
    for (const [name, { at, since }] of this.#open) {
      const isRunning = at.pausedUntil + 7 * T < now
      assert(!isRunning || now - since < 7 * T, `the caller of ${name} hears nothing`)
    }
  }

  #check(): void {
    const all = this.#sound()
    assert.deepEqual(this.#wrong, [])
    for (const { machine, disk, id } of all) {
      const { lines } = machine
      assert.deepEqual(lines, all[0]?.machine.lines, 'one order')
      assert.equal(new Set(lines).size, lines.length, 'each once')
      for (const name of this.#committed.keys()) assert(lines.includes(name), `${name} is lost`)
      for (const name of this.#refused) assert(!lines.includes(name), `${name} was refused`)
      assert(disk.chunks.size <= 3, `${id} keeps ${disk.chunks.size} snapshots`)
    }
    assert.deepEqual([...this.#open.keys()], [], 'every caller hears')
  }
}

export const killer: Killer = { name: 'shell world', run: seed => new Run(seed).run() }
