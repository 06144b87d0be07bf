/**
 * Those who use a simulated cluster: each has one request at a time, asks it of any server, asks again elsewhere
 * when nobody answers, with the same id, and sometimes gives up without ever knowing.
 *
 * They remember what they asked and what they were told, for the check of linearizability; a few things are checked at
 * once: a read point never lies before what was committed when it was asked for, and revisions follow real time.
 */
import assert from 'node:assert/strict'
import { commandCodec } from '../../lib/command-codec.ts'
import type { Command, CommandBody } from '../../lib/ledger/command.ts'
import type { ProposeOutcome, ReadOutcome } from '../../raft/calls.ts'
import type { Operation } from './linear.ts'
import type { FeatureInput, FeatureOutput } from './node-history.ts'
import type { NodeWorld } from './node-world.ts'
import type { NodeServer } from './node-server.ts'
import type { SeededRandom } from './seeded-random.ts'

export const features = ['cad', 'sim', 'mesh'] as const

/** Writes of a feature whose outcome stays unknown. */
const maxUnknown = 6

interface Asked {
  readonly id: string
  readonly feature: string
  readonly input: FeatureInput
  readonly calledAt: number
  /** Of the ledger, as any client had heard when this was called. */
  readonly revision: number
  /** Attempts without an answer. */
  silences: number
  /** Goes up with each attempt: the answers of earlier ones count only for writes. */
  attempt: number
  done: boolean
}

export class NodeClients {
  readonly history = new Map<string, Operation<FeatureInput, FeatureOutput>[]>()
  readonly acknowledged = new Map<string, number>()
  readonly #world: NodeWorld
  readonly #random: SeededRandom
  /** Writes given up, by feature. */
  readonly #given = new Map<string, number>()
  #asked = 0
  #revision = 0
  #resting = false
  /** Under way now. */
  open = 0
  commands = 0
  reads = 0
  unknown = 0

  constructor(world: NodeWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
    for (const feature of features) this.history.set(feature, [])
  }

  start(): void {
    const { clients } = this.#world.options
    for (let n = 0; n < clients; n++) this.#next(n)
  }

  /** Nobody begins anything new. */
  rest(): void {
    this.#resting = true
  }

  wake(): void {
    if (!this.#resting) return
    this.#resting = false
    this.start()
  }

  #next(client: number): void {
    const { thinkMs } = this.#world.options
    this.#world.time.after(this.#random.next() * 2 * thinkMs, () => {
      if (!this.#resting) this.#ask(client)
    })
  }

  #ask(client: number): void {
    const random = this.#random
    const feature = random.pick(features)
    const what = random.next()
    const n = ++this.#asked
    const input: FeatureInput =
      what < 0.55
        ? { kind: 'add', count: random.between(1, 9999) }
        : what < 0.65
          ? { kind: 'threshold', threshold: random.between(1, 100_000) / 100_000 }
          : { kind: 'read' }
    const asked: Asked = {
      id: `c${client}-${n}`,
      ...{ feature, input },
      calledAt: this.#world.time.now,
      revision: this.#revision,
      ...{ silences: 0, attempt: 0, done: false },
    }
    this.open++
    this.#attempt(client, asked, undefined)
  }

  #attempt(client: number, asked: Asked, hint: string | undefined): void {
    if (asked.done) return
    const { time, options } = this.#world
    const random = this.#random
    asked.attempt++
    if (asked.silences > options.patience && this.#mayGiveUp(asked)) {
      this.#end(client, asked, undefined)
      return
    }
    const { attempt } = asked
    const again = (ms: number, leader: string | undefined): void => {
      if (asked.done || asked.attempt !== attempt) return
      asked.attempt++
      time.after(ms, () => this.#attempt(client, asked, leader))
    }
    time.after(options.clientTimeoutMs, () => {
      if (!asked.done && asked.attempt === attempt) asked.silences++
      again(0, undefined)
    })
    const server = this.#world.serverFor(hint, random)
    const process = server?.process
    if (server === undefined || process === undefined) {
      again(5 + random.next() * 20, undefined)
      return
    }
    process.enter(() => {
      if (asked.input.kind === 'read') this.#read(client, server, asked, attempt, again)
      else this.#propose(client, server, asked, again)
    })
  }

  /** What nobody knows makes the check of the history exponential: a few writes of each feature, and any read. */
  #mayGiveUp({ feature, input }: Asked): boolean {
    if (this.#world.calm) return false
    if (input.kind === 'read') return true
    const given = this.#given.get(feature) ?? 0
    this.#given.set(feature, given + 1)
    return given < maxUnknown
  }

  #propose(
    client: number,
    server: NodeServer,
    asked: Asked,
    again: (ms: number, leader: string | undefined) => void,
  ): void {
    const { running } = server
    const { node, machine, process } = running ?? {}
    if (node === undefined || machine === undefined || process === undefined) return
    if (asked.done) return
    const data = commandCodec.encode({
      id: asked.id,
      deadline: machine.ledger.state.tick + 25,
      by: 'sim',
      body: bodyOf(asked),
    })
    const patience = { patient: client % 2 === 0 }
    node.propose(
      data,
      outcome => {
        if (!process.alive) return
        this.#world.guard(() => {
          if (outcome.outcome === 'committed') this.#committed(client, server, asked, outcome, data)
          else if (outcome.outcome === 'refused')
            again(2 + this.#random.next() * 20, outcome.leader)
          else again(0, undefined)
        })
      },
      patience,
    )
  }

  #committed(
    client: number,
    { running }: NodeServer,
    asked: Asked,
    { index }: ProposeOutcome & { readonly outcome: 'committed' },
    data: Uint8Array,
  ): void {
    this.#world.checks.acknowledged(index, data)
    const kept = running?.machine.ledger.state.results.get(asked.id)
    if (kept === undefined) return
    const { result } = kept
    if (result.ok) {
      this.acknowledged.set(asked.id, index)
      this.#end(client, asked, { revision: result.revision })
      return
    }
    // A refusal for its deadline, and for nothing else: these commands are sound.
    assert(result.code === 'LICD_DEADLINE' || result.code === 'LICD_BAD_DEADLINE', result.code)
    this.#end(client, asked, 'refused')
  }

  #read(
    client: number,
    { running }: NodeServer,
    asked: Asked,
    attempt: number,
    again: (ms: number, leader: string | undefined) => void,
  ): void {
    const { node, machine, process } = running ?? {}
    if (node === undefined || machine === undefined || process === undefined) return
    if (asked.attempt !== attempt) return
    const { checks } = this.#world
    const committed = checks.maxCommit
    node.readIndex((outcome: ReadOutcome) => {
      if (!process.alive) return
      this.#world.guard(() => {
        if (outcome.ok) {
          const { index } = outcome
          assert(index >= committed, `stale read: ${index} when ${committed} was committed`)
        }
        if (asked.done || asked.attempt !== attempt) return
        if (!outcome.ok) {
          again(2 + this.#random.next() * 20, node.status.leader)
          return
        }
        const { state } = machine.ledger
        const feature = state.features.get(asked.feature)
        assert(feature !== undefined, 'a feature that was there from the start')
        const { allocations, defaultThreshold } = feature
        this.#end(client, asked, {
          revision: state.revision,
          allocations,
          threshold: defaultThreshold,
        })
      })
    })
  }

  #end(client: number, asked: Asked, output: FeatureOutput | 'refused' | undefined): void {
    if (asked.done) return
    asked.done = true
    this.open--
    const { input, calledAt } = asked
    if (output === undefined) this.unknown++
    else if (input.kind === 'read') this.reads++
    else this.commands++
    // What was refused never happens; what was not read tells nothing.
    const happened = output !== 'refused' && (output !== undefined || input.kind !== 'read')
    if (happened) {
      const returnedAt = output === undefined ? Infinity : this.#world.time.now
      this.history.get(asked.feature)?.push({ input, output, calledAt, returnedAt })
    }
    if (output !== undefined && output !== 'refused') {
      const least = asked.revision
      assert(output.revision >= least, `revision ${output.revision} after ${least} was told`)
      this.#revision = Math.max(this.#revision, output.revision)
    }
    this.#next(client)
  }
}

function bodyOf({ feature, input }: Asked): CommandBody {
  switch (input.kind) {
    case 'add':
      return { type: 'add-allocations', feature, count: input.count }
    case 'threshold':
      return { type: 'set-threshold', feature, threshold: input.threshold }
    case 'read':
      return assert.fail('reads are no commands')
  }
}

/** What the pool begins with. */
export function firstCommands(servers: readonly string[]): Uint8Array[] {
  const settings = { tickMs: 500, leaseTicks: 40, seatTicks: 20 }
  const command = (id: string, body: CommandBody): Command => ({ id, deadline: 0, by: 'sim', body })
  const genesis: CommandBody = {
    type: 'genesis',
    ...{ pool: 'simulated', fingerprint: 'sim', settings, servers, vendors: [] },
    wallMs: 1_750_000_000_000,
  }
  return [
    command('genesis', genesis),
    ...features.map(feature => {
      return { ...command(feature, { type: 'add-feature', feature, allocations: 1 }), deadline: 20 }
    }),
  ].map(one => commandCodec.encode(one))
}
