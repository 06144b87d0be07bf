/**
 * One simulated server: what outlives its process (disk, name, clock rate), and the process that runs on it now.
 *
 * The node is the real one, with its real codec and store; only the ports below it are made up here.
 */
import { bootstrap, type Genesis } from '../../raft/bootstrap.ts'
import type { Got } from '../../raft/database.ts'
import { openLogStore } from '../../raft/open-store.ts'
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
import { NodeRules } from './node-rules.ts'
import { FaultyDisk, type DiskState } from './faulty-disk.ts'
import { Medium, type Damage } from './faulty-medium.ts'
import { NodeMachine } from './node-machine.ts'
import type { SimBus } from './node-network.ts'
import { SimProcess, type EventKind } from './node-process.ts'
import type { NodeWorld } from './node-world.ts'
import type { SeededRandom } from './seeded-random.ts'

/** A server that runs. */
export interface Running {
  readonly process: SimProcess
  readonly bus: SimBus
  readonly machine: NodeMachine
  readonly disk: FaultyDisk
  /** Once its store is open. */
  node: RaftNode | undefined
}

export class NodeServer {
  readonly id: string
  readonly medium = new Medium()
  readonly disk: DiskState = { slowness: 1, stalled: false, error: undefined, low: false }
  readonly watched: Watched
  readonly #world: NodeWorld
  readonly #random: SeededRandom
  readonly #rate: number
  running: Running | undefined
  #runs = 0
  /** Of the present run. */
  #rules: NodeRules | undefined
  /** It was removed for good. */
  retired = false
  /** Not to be started again, until the end. */
  broken = false
  raft: Raft | undefined
  /** It had a vote once: it is to have one again. */
  wasVoter = false

  constructor(world: NodeWorld, id: string, random: SeededRandom) {
    this.#world = world
    this.id = id
    this.#random = random
    this.#rate = 0.9 + random.next() * 0.2
    this.watched = world.checks.watch(id)
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

  boot(genesis?: Genesis): void {
    if (this.running !== undefined || this.retired || this.broken) return
    const { options, network, time } = this.#world
    this.#runs++
    this.watched.harmedSinceStart = false
    const count = (kind: EventKind): void => this.#world.count(kind)
    const onDeath = (): void => this.#died(process)
    const process: SimProcess = new SimProcess({
      ...{ time, rate: this.#rate, count, onDeath },
      napMs: 0.6 * options.settings.electionTimeoutMs,
    })
    const bus = network.connect(this.id, process, this.#runs)
    const machine = new NodeMachine(this.#watcher(process), options.rowsPerSlice)
    this.#rules = new NodeRules({ process, time, settings: options.settings })
    const { medium, disk: state } = this
    const disk = new FaultyDisk({
      ...{ medium, state, time, process, latencyMs: options.diskMs },
      random: this.#random.split('disk'),
      onDone: () => count('disk'),
    })
    const running: Running = { process, bus, machine, disk, node: undefined }
    this.running = running
    const opened: Got<Storage> = (error, store) => {
      if (!process.alive) return
      if (store === undefined) this.#fatal(process, error)
      else if (genesis === undefined) this.#start(running, store)
      else {
        bootstrap(store, genesis, failed => {
          if (failed === undefined) this.#start(running, store)
          else this.#world.fail(failed)
        })
      }
    }
    openLogStore(disk, opened, (event, text) => this.#world.tell(`${this.id} ${event}: ${text}`))
  }

  #start(running: Running, store: Storage): void {
    const { process, bus, machine } = running
    const { settings, snapshotEveryEntries } = this.#world.options
    const node = startNode({
      ...{ id: this.id, cluster: 'sim', settings, bus, machine, snapshotEveryEntries },
      storage: this.#watch(process, store),
      clock: process.clock,
      random: this.#random.split('run'),
      log: this.#log(process),
      trace: (raft, input, effects) => this.#trace(process, machine, raft, input, effects),
    })
    running.node = node
    node.onFatal(error => {
      if (process.alive) this.#fatal(process, error)
    })
    node.onStatus(({ removed }) => {
      if (removed && process.alive) this.#world.retireLater(this)
    })
    this.#tickLater(running)
  }

  /** Its files are harmed; false when there was nothing to harm. */
  damage(kind: Damage | 'wipe'): boolean {
    const { medium, watched } = this
    if (kind === 'wipe') medium.wipe()
    else if (!medium.damage(kind, this.#random)) return false
    if (kind === 'flip-table') this.running?.disk.spoil(medium.flipped)
    watched.damaged = true
    watched.judged = false
    watched.harmedSinceStart = true
    return true
  }

  /** What was never synced is as old as the system had left it; but that alone, so that the mark tells of a harm. */
  losePower(isOld: boolean): void {
    const { medium, watched } = this
    this.crash()
    medium.losePower(this.#random)
    if (isOld && watched.judged) medium.mark.revert()
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
      running.node?.stop(() => {
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
    running.disk.crash()
    this.disk.stalled = false
  }

  #fatal(process: SimProcess, error: RaftError | undefined): void {
    const { code } = error ?? {}
    // A disk that fails, or one that was harmed: nothing else happens here that may end a server.
    const isDue = code === 'RAFT_STORAGE' || (code === 'RAFT_DAMAGED' && this.watched.damaged)
    if (error === undefined || !isDue) {
      this.#world.fail(error?.cause instanceof Error ? error.cause : error)
      return
    }
    this.#world.tell(`${this.id} ends: ${code}`)
    if (this.running?.process === process) this.crash()
    // More were set aside than it keeps: an operator has looked into them, and moved them away.
    if (code === 'RAFT_DAMAGED' && this.medium.aside.length > 2) this.medium.aside = []
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
    this.#rules?.stepped(raft, input, effects)
    this.#world.faults.noteStep(this, input, effects)
    if (!this.wasVoter && raft.trust.kind === 'full') {
      this.wasVoter = raft.configuration.voters.includes(this.id)
    }
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
      sliced: () => this.#rules?.sliced(),
    }
  }

  #watch(process: SimProcess, storage: Storage): Storage {
    const { watched } = this
    const { checks } = this.#world
    return {
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
        checks.writing(watched, batch)
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
      freeBytes: done => storage.freeBytes?.(done),
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

  /** The disk no longer stands still. */
  unstall(): void {
    this.disk.stalled = false
    this.running?.disk.resume()
  }

  /** The disk is as good as new. */
  calmDisk(): void {
    this.disk.slowness = 1
    this.disk.error = undefined
    this.disk.low = false
    this.unstall()
  }

  /** For messages of failures. */
  describe(): string {
    const { raft, running, id } = this
    if (running === undefined) return `${id} ${this.retired ? 'retired' : 'down'}`
    if (raft === undefined) return `${id} starts`
    const { role, currentTerm, leader, commitIndex, lastIndex, configuration } = raft
    const { voters, outgoing, learners } = configuration
    const members = `[${voters.join('')}|${outgoing.join('')}|${learners.join('')}]`
    const applied = running.node?.status.lastApplied
    const trust = raft.trust.kind === 'full' ? '' : ` ${raft.trust.kind}`
    return `${id}${trust} ${role} t${currentTerm} leader=${leader} c${commitIndex} l${lastIndex} a${applied} ${members}`
  }
}
