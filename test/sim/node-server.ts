/**
 * One simulated server: what outlives its process (disk, name, clock rate), and the process that runs on it now.
 *
 * The node is the real one, with its real codec and store; only the ports below it are made up here.
 */
import type { RaftError } from '../../raft/error.ts'
import { startNode } from '../../raft/driver.ts'
import type { Configuration } from '../../raft/core/configuration.ts'
import type { Effects } from '../../raft/core/effect.ts'
import type { Input } from '../../raft/core/input.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { RaftNode } from '../../raft/node.ts'
import { silentLogger, type Logger } from '../../raft/ports.ts'
import type { Batch, Storage } from '../../raft/storage.ts'
import type { Watched } from './node-checks.ts'
import { SimDisk } from './node-disk.ts'
import { NodeMachine } from './node-machine.ts'
import type { SimBus } from './node-network.ts'
import { SimProcess } from './node-process.ts'
import type { NodeWorld } from './node-world.ts'
import type { SeededRandom } from './seeded-random.ts'

/** A server that runs. */
export interface Running {
  readonly process: SimProcess
  readonly bus: SimBus
  readonly machine: NodeMachine
  readonly node: RaftNode
}

export class NodeServer {
  readonly id: string
  readonly disk: SimDisk
  readonly watched: Watched
  readonly #world: NodeWorld
  readonly #random: SeededRandom
  readonly #rate: number
  running: Running | undefined
  #runs = 0
  /** It was removed for good. */
  retired = false
  /** Not to be started again, until the end. */
  broken = false
  raft: Raft | undefined

  constructor(world: NodeWorld, id: string, random: SeededRandom) {
    this.#world = world
    this.id = id
    this.#random = random
    this.#rate = 0.9 + random.next() * 0.2
    this.watched = world.checks.watch(id)
    this.disk = new SimDisk(world, random.split('disk'))
  }

  get process(): SimProcess | undefined {
    return this.running?.process
  }

  get leads(): boolean {
    return this.raft?.role === 'leader'
  }

  get configuration(): Configuration | undefined {
    return this.raft?.configuration
  }

  boot(): void {
    if (this.running !== undefined || this.retired || this.broken) return
    const world = this.#world
    const { options, network, time } = world
    this.#runs++
    const process: SimProcess = new SimProcess({
      time,
      rate: this.#rate,
      count: kind => world.count(kind),
      onDeath: () => this.#died(process),
    })
    const bus = network.connect(this.id, process, this.#runs)
    const machine = new NodeMachine(this.#watcher(process), options.rowsPerSlice)
    const node = startNode({
      id: this.id,
      cluster: 'sim',
      settings: options.settings,
      storage: this.#watch(process, this.disk.open(process)),
      bus,
      clock: process.clock,
      random: this.#random.split('run'),
      machine,
      log: this.#log(process),
      snapshotEveryEntries: options.snapshotEveryEntries,
      trace: (raft, input, effects) => this.#trace(process, machine, raft, input, effects),
    })
    this.running = { process, bus, machine, node }
    node.onFatal(error => {
      if (process.alive) this.#fatal(process, error)
    })
    node.onStatus(({ removed }) => {
      if (removed && process.alive) this.#world.retireLater(this)
    })
    this.#tickLater(this.running)
  }

  /** The process is gone at once; of the write under way all or nothing happened. */
  crash(): void {
    const { running } = this
    if (running === undefined) return
    running.process.kill()
    this.#gone(running)
  }

  /** A clean stop. */
  stop(): void {
    const { running } = this
    if (running === undefined) return
    running.process.enter(() => {
      running.node.stop(() => {
        if (running.process.alive && this.running === running) this.crash()
      })
    })
  }

  /** By its fuse, in the middle of whatever it was doing: the rest follows when that is over. */
  #died(process: SimProcess): void {
    this.#world.time.after(0, () => {
      if (this.running?.process === process) this.#gone(this.running)
    })
  }

  #gone(running: Running): void {
    this.#world.network.forget(running.bus)
    this.running = undefined
    this.raft = undefined
    this.disk.crash()
  }

  #fatal(process: SimProcess, error: RaftError): void {
    const { code } = error
    if (code === 'RAFT_INTERNAL' || code === 'RAFT_STATE_MACHINE') {
      this.#world.fail(error.cause instanceof Error ? error.cause : error)
      return
    }
    this.#world.tell(`${this.id} ends: ${code}`)
    if (this.running?.process === process) this.crash()
    this.#world.bootLater(this, 20 + this.#random.next() * 500)
  }

  #trace(
    process: SimProcess,
    machine: NodeMachine,
    raft: Raft,
    input: Input,
    effects: Effects,
  ): void {
    if (!process.alive) return
    const { checks } = this.#world
    this.raft = raft
    checks.stepped(this.watched, raft, input, effects)
    if (input.type === 'applied') checks.state(this.id, input.index, machine.ledger.hash())
    this.#world.noteStep(input, effects)
  }

  #watcher(process: SimProcess) {
    const { checks } = this.#world
    return {
      applied: ({ index, data }: { readonly index: number; readonly data: Uint8Array }) => {
        if (process.alive) checks.command(index, data)
      },
      restored: () => void this.#world.restores++,
    }
  }

  #watch(process: SimProcess, storage: Storage): Storage {
    const { watched } = this
    const { checks } = this.#world
    return {
      ...storage,
      get damage() {
        return storage.damage
      },
      condemn: (reason, done) => storage.condemn(reason, done),
      read: done => {
        storage.read((error, state) => {
          if (!process.alive) return
          if (error === undefined) this.#world.guard(() => checks.opened(watched, state))
          done(error, state)
        })
      },
      write: (batch: Batch, done) => {
        if (!process.ask()) return
        checks.writing(watched, batch.persists ?? [])
        storage.write(batch, error => {
          if (!process.alive) return
          if (error === undefined) {
            this.#world.guard(() => checks.written(watched, batch.persists ?? []))
          }
          done(error)
        })
      },
      readChunk: (id, chunk, done) => {
        storage.readChunk(id, chunk, (error, data) => {
          if (process.alive) done(error, data)
        })
      },
      close: done => storage.close(done),
    }
  }

  #log(process: SimProcess): Logger {
    return {
      ...silentLogger,
      error: (event, fields) => {
        if (event !== 'raft-callback-threw' || !process.alive) return
        this.#world.fail(new Error(`a callback threw: ${String(fields?.error)}`))
      },
    }
  }

  /** The leader's pool clock (R2). */
  #tickLater(running: Running): void {
    const { time, tickMs } = this.#world
    time.after(tickMs * (0.9 + this.#random.next() * 0.2), () => {
      if (this.running !== running) return
      if (this.raft?.ready === true) {
        running.process.enter(() => this.#world.proposeTick(running))
      }
      this.#tickLater(running)
    })
  }

  /** For messages of failures. */
  describe(): string {
    const { raft, running, id } = this
    if (running === undefined) return `${id} ${this.retired ? 'retired' : 'down'}`
    if (raft === undefined) return `${id} starts`
    const { role, currentTerm, leader, commitIndex, lastIndex, configuration } = raft
    const { voters, outgoing, learners } = configuration
    const members = `[${voters.join('')}|${outgoing.join('')}|${learners.join('')}]`
    const applied = running.node.status.lastApplied
    return `${id} ${role} t${currentTerm} leader=${leader} c${commitIndex} l${lastIndex} a${applied} ${members}`
  }
}
