/**
 * Two replicas of the ledger beside a model of what may be asked of them: I1, I4, I5, R1, and that nothing useful lies
 * idle, checked after every command.
 *
 * One of the replicas is restored from a snapshot at random points, and snapshots are read while commands go on. Steps
 * are figures that anybody may draw: the property test, which shrinks what fails, and the hunter of mutants.
 */
import { strict as assert } from 'node:assert'
import { levelMax } from '../../lib/ledger/command.ts'
import type { Command, CommandBody, Listing, SeatProof } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import type { Applied } from '../../lib/ledger/ledger.ts'
import type { Row } from '../../lib/ledger/snapshot.ts'
import { featureRow } from '../../lib/ledger/snapshot.ts'
import { checkCodes } from './code-rules.ts'
import { keyBody, keyKinds, KeyRules, operatorKey } from './key-model.ts'
import { checkChanged, checkGivers, type Picture } from './picture.ts'
import { content, epoch, vendor } from './pool.ts'
import { Rules, pictureOf } from './rules.ts'

const names = ['a', 'b', 'c', 'd'] as const
const features = ['own', 'cad', 'sim'] as const
const roles = ['voter', 'learner', 'removed'] as const

/** What servers say for themselves; the rest is operators'. */
const ofServers = new Set(['hello', 'leave', 'hold-keys', 'borrow', 'demand', 'return', 'lend'])

/** One step: what to do, and figures that choose how. */
export type Step = readonly [kind: number, x: number, y: number, z: number, odd: number]

function pick<Item>(items: readonly Item[], at: number): Item {
  const item = items[at % items.length]
  assert(item !== undefined)
  return item
}

export class LedgerModel {
  readonly one: Ledger
  two: Ledger
  readonly #results: number | undefined
  #index = 0
  #ids = 0
  #walls = epoch
  readonly #said: Command[] = []
  readonly #proofs: SeatProof[] = []
  /** A snapshot that is read while commands go on, and the hash it has to come to. */
  #open: { rows: Iterator<Row>; read: Row[]; hash: string } | undefined
  readonly #rules = new Rules()
  readonly #keyRules = new KeyRules()
  #last: Picture = { tables: new Map(), live: new Set(), leaving: new Set() }
  readonly seen = new Map<string, number>()

  /**
   * `keys`: servers have said which keys of tokens they hold, as those of now do. `results`: so many are remembered at
   * most, by the newest rules.
   */
  constructor({
    keys = false,
    results,
  }: { readonly keys?: boolean; readonly results?: number } = {}) {
    this.#results = results
    this.one = new Ledger(undefined, results)
    this.two = new Ledger(undefined, results)
    const settings = { tickMs: 1_000, leaseTicks: 6, seatTicks: 4 }
    this.apply({
      id: '',
      deadline: 0,
      by: 'init',
      body: {
        type: 'genesis',
        pool: 'test',
        fingerprint: 'print',
        settings,
        servers: names,
        vendors: [vendor, { ...vendor, kid: 'kid-2' }],
        wallMs: epoch,
        level: results === undefined ? 2 : levelMax,
      },
    })
    for (const server of names) this.say({ type: 'hello', server, bootId: `boot ${server}` })
    const kids = ['k0', 'k1', 'k2', 'k3']
    for (const server of keys ? names : []) {
      this.say({ type: 'hold-keys', server, incarnation: 1, kids })
    }
    this.say({ type: 'add-feature', feature: 'own', allocations: 7 })
    this.say({ type: 'add-code', text: '', content: content({ codeId: 'first', allocations: 5 }) })
    const sim = content({ codeId: 'code 0', feature: 'sim', allocations: 4 })
    this.say({ type: 'add-code', text: '', content: sim })
    this.say({ type: 'change-criteria', feature: 'own', targets: { a: 4, b: 2 } })
    this.say({ type: 'change-criteria', feature: 'cad', targets: { c: 3, d: 2 } })
    this.tick(15, 0)
  }

  do([kind, x, y, z, odd]: Step): void {
    if (kind < 20) this.tick(x, y)
    else if (kind < 28) for (let n = 0; n <= z % 8; n++) this.tick(x - (x % 3) + 1, y)
    else if (kind < 34) this.#repeat(x)
    else if (kind < 37) this.#restore()
    else if (kind < 38 && odd === 0) for (let n = 0; n < 640; n++) this.tick(x, y)
    else if (kind < 40) this.#snapshot()
    else if (kind < 60 && this.#results !== undefined) this.#repeat(x)
    else {
      // Operators' commands are signed, now and then.
      const key = kind >= 86 && odd > 12 ? { key: operatorKey(z) } : {}
      const body =
        kind < keyKinds.from
          ? this.#body([kind, x, y, z, odd])
          : keyBody(this.one.state, names, [kind, x, y, z, odd])
      this.say(body, odd === 7 ? (x % 16) - 6 : y % 3, key)
    }
    this.#readOn()
  }

  tick(x: number, y: number): void {
    this.#walls += (y % 5) * 20_000
    const listings: Listing[] = []
    for (const [at, server] of names.entries()) {
      // The bits of x say who is listed: mostly most of them.
      if (((x >> at) & 1) === 0 && x % 3 !== 0) continue
      const record = this.one.state.servers.get(server)
      // Late keepalives come too: of a run before, or one that was listed already.
      const incarnation = (record?.incarnation ?? 0) - (y % 11 === at ? 1 : 0)
      const number = (record?.listedNumber ?? 0) + (y % 7 === 0 ? 0 : 1) + (y % 11 === at ? 9 : 0)
      const usage = [{ feature: pick(features, x), inUse: y % 4, granted: y % 3, denied: 0 }]
      // One clock at a time is wrong, ahead or behind.
      const wrong = y % 9 === at ? (x % 2 === 0 ? 1 : -1) * 600_000 : 0
      const wallMs = this.#walls + at * 700 + wrong
      listings.push({ server, incarnation, number, wallMs, usage })
    }
    const tick = this.one.state.tick + 1
    this.apply({ id: '', deadline: 0, by: 'leader', body: { type: 'tick', tick, listings } })
  }

  say(body: CommandBody, ahead = 3, more: { readonly key?: string } = {}): void {
    this.#ids += 1
    const { tick, level } = this.one.state
    const deadline = tick + ahead
    // Of operators some do not say since when there are copies.
    const isDated = level >= 3 && !ofServers.has(body.type) && this.#ids % 5 > 0
    const since = isDated ? { since: tick } : {}
    const command = { id: `c${String(this.#ids)}`, deadline, by: 'test', body, ...since, ...more }
    this.#said.push(command)
    this.apply(command)
  }

  /** I4: a repetition answers as the first time did and changes nothing. */
  #repeat(x: number): void {
    if (this.#said.length === 0) return
    const command = pick(this.#said, x)
    const { tick, results } = this.one.state
    const kept = this.#rules.remembered(command.id, tick)
    const wasKept = this.#rules.wasKept(command.id)
    const isForgotten = !results.has(command.id)
    const before = this.one.hash()
    // Of an operator's command there are copies with other deadlines.
    const isCopied = kept !== undefined && !ofServers.has(command.body.type) && x % 2 === 0
    const again = this.apply(isCopied ? { ...command, deadline: tick + (x % 3) } : command)
    if (kept !== undefined && isForgotten) {
      assert(this.#results !== undefined, 'there is room for all')
      assert.deepEqual(again.result, { ok: false, code: 'LICD_UNKNOWN_OUTCOME' })
      assert.equal(this.one.hash(), before)
      this.#see('forgotten early')
    } else if (kept !== undefined) {
      assert.equal(again.duplicate, true)
      assert.deepEqual(again.result, kept)
      assert.equal(this.one.hash(), before)
    } else if (wasKept) {
      // Forgotten means too late for good: it has no effect a second time.
      assert.equal(again.result.ok, false)
      assert.deepEqual(again.changed, [])
    }
  }

  #restore(): void {
    this.two = Ledger.restore(this.two.snapshot(), this.#results)
    assert.equal(this.two.hash(), this.one.hash())
  }

  #snapshot(): void {
    this.#open ??= { rows: this.one.snapshotRows(), read: [], hash: this.one.hash() }
  }

  #readOn(): void {
    const open = this.#open
    if (open === undefined) return
    for (let n = 0; n < 4; n++) {
      const row = open.rows.next()
      if (!row.done) open.read.push(row.value)
      else {
        assert.equal(Ledger.restoreRows(open.read).hash(), open.hash, 'a consistent snapshot')
        this.#open = undefined
        return
      }
    }
  }

  /** Applies to both replicas and checks every invariant that can be seen from outside. */
  apply(command: Command): Applied {
    this.#index += 1
    const before = this.#last
    const stood = pictureOf(this.one.state)
    const applied = this.one.apply(command, this.#index)
    const other = this.two.apply(command, this.#index)
    assert.deepEqual(other, applied, 'replicas answer alike (I5)')
    assert.equal(this.two.hash(), this.one.hash(), 'replicas are alike (I5)')
    const after = this.#picture()
    this.#last = after
    this.#checkFeatures()
    checkGivers(before, after, command, applied)
    checkChanged(before, after, applied)
    this.#checkMoves()
    checkCodes(this.one.state)
    this.#rules.check(stood, this.one.state, command, applied)
    this.#keyRules.check(this.one.state, command, applied)
    const { result } = applied
    const outcome = result.ok ? 'ok' : result.code
    this.#see(`${command.body.type} ${applied.duplicate ? 'again' : outcome}`)
    if ('taken' in result) {
      for (const { source } of result.taken) this.#see(`${command.body.type} took ${source}`)
    }
    return applied
  }

  #see(key: string): void {
    this.seen.set(key, (this.seen.get(key) ?? 0) + 1)
  }

  #picture(): Picture {
    const { state } = this.one
    return {
      tables: new Map(
        [...state.features].map(([name, feature]) => {
          const { demand: _demand, usage: _usage, ...row } = featureRow(feature)
          return [name, { text: JSON.stringify(row), shares: new Map(feature.shares) }]
        }),
      ),
      live: new Set(names.filter(name => this.one.serverState(name) !== 'down')),
      leaving: new Set(
        [...state.servers.values()]
          .filter(({ leaving, role }) => leaving || role === 'removed')
          .map(({ name }) => name),
      ),
    }
  }

  /** I1, and that whoever may be served has been: nothing is owed or waited for while something lies idle. */
  #checkFeatures(): void {
    for (const feature of this.one.state.features.values()) {
      const { allocations, owed, free, shares, demand, name } = feature
      const owned = [...shares.values()].reduce((sum, share) => sum + share, 0)
      assert.equal(free + owned, allocations + owed, `I1: ${name}`)
      assert(Math.min(free, owed, allocations, ...shares.values()) >= 0, `I1: ${name}`)
      const idle =
        free +
        names
          .filter(server => this.one.serverState(server) === 'down')
          .reduce((sum, server) => sum + (shares.get(server) ?? 0), 0)
      const served = demand.filter(({ server }) => this.one.serverState(server) === 'up')
      if (owed > 0 || served.length > 0) assert.equal(idle, 0, `${name}: settled`)
      assert.equal(new Set(demand.map(({ server }) => server)).size, demand.length)
      for (const { server, count } of demand) {
        assert(count > 0)
        assert.notEqual(this.one.serverState(server), 'down')
      }
    }
  }

  #checkMoves(): void {
    for (const { to, until } of this.one.state.moves.values()) {
      assert(until > this.one.state.tick)
      const taker = this.one.state.servers.get(to)
      assert(taker && taker.downAt >= until, 'the taker is not down before (R6)')
    }
  }

  #proof(x: number, y: number, odd: number): SeatProof {
    if (this.#proofs.length > 0 && y % 2 === 0) return pick(this.#proofs, x)
    const { tick, settings } = this.one.state
    const server = pick(names, x)
    const proof = {
      seatId: `seat ${String(y % 6)}`,
      feature: pick(features, y),
      server,
      incarnation: (this.one.state.servers.get(server)?.incarnation ?? 0) - (odd === 5 ? 1 : 0),
      seatTick: tick + (odd === 6 ? 1 : 0),
      lastTick: tick + settings.seatTicks,
    }
    this.#proofs.push(proof)
    return proof
  }

  #body([kind, x, y, z, odd]: Step): CommandBody {
    const server = pick(names, x)
    const other = pick(names, y)
    const incarnationOf = (name: string) =>
      (this.one.state.servers.get(name)?.incarnation ?? 0) - (odd === 1 ? 1 : 0)
    const incarnation = incarnationOf(server)
    const feature = pick(features, z)
    const count = odd === 2 ? pick([0, -1, 0.5, NaN, 1e12], y) : 1 + (y % 4)
    if (kind < 44 && odd < 5) return { type: 'leave', server, incarnation }
    if (kind < 44) return { type: 'hello', server, bootId: `boot ${String(z % 30)}` }
    if (kind < 64) {
      const update = kind < 56
      return {
        type: 'borrow',
        feature,
        to: server,
        incarnation,
        needed: update ? 1 + (odd === 3 ? 1 : 0) : count,
        wanted: update ? 1 + (y % 3) : count + (x % 3),
        cause: update ? 'update' : 'request',
        queue: z % 3,
        ...(y % 3 === 0
          ? {
              offer: {
                server: other,
                incarnation: incarnationOf(other) - (z % 5 ? 0 : 1),
                count: z % 4,
              },
            }
          : {}),
        ...(update ? { move: { ...this.#proof(y, z, odd), ...(x % 4 ? { feature } : {}) } } : {}),
      }
    }
    if (kind < 74) return { type: 'return', feature, server, incarnation, count }
    if (kind < 79) return { type: 'demand', feature, server, incarnation, count: z % 5 }
    if (kind < 86) return this.#lend([kind, x, y, z, odd], { feature, count })
    return this.#operatorBody(kind, { x, y, z, odd, count })
  }

  /** Mostly where somebody waits, and by whoever owns most: others are refused. */
  #lend([, x, y, z, odd]: Step, given: { feature: string; count: number }): CommandBody {
    const { state } = this.one
    const asked = [...state.features.values()].filter(({ demand }) => demand.length > 0)
    const owing = asked.filter(({ owed }) => owed > 0)
    const some = owing.length > 0 ? owing : asked
    const feature = z % 4 > 0 && some.length > 0 ? pick(some, z).name : given.feature
    const { demand = [], shares = new Map<string, number>() } = state.features.get(feature) ?? {}
    const to = (y % 3 > 0 && demand[x % Math.max(1, demand.length)]?.server) || pick(names, y)
    const [owner] = [...shares].filter(([name]) => name !== to).sort((a, b) => b[1] - a[1])
    const server = x % 4 > 0 && owner !== undefined ? owner[0] : pick(names, x)
    const runOf = (name: string) =>
      (state.servers.get(name)?.incarnation ?? 0) - (odd === 1 ? 1 : 0)
    const count = z % 2 === 0 ? 1 : given.count
    const run = { incarnation: runOf(server), toIncarnation: runOf(to) }
    return { type: 'lend', feature, server, to, count, ...run }
  }

  #operatorBody(
    kind: number,
    { x, y, z, odd, count }: { x: number; y: number; z: number; odd: number; count: number },
  ): CommandBody {
    const feature = pick(features, z)
    const codeId = `code ${String(x % 12)}`
    if (kind < 90) {
      const startsAt = this.#walls + pick([-1_000, 0, 50_000, 90_000], y)
      const expiresAt = startsAt + pick([1_000, 100_000, 200_000], x)
      const kid = odd === 4 ? 'kid-2' : odd === 5 ? 'kid-3' : vendor.kid
      // A third of them renew another, or have limits, or serve the other features' clients.
      const newer = {
        ...(z % 3 === 0 ? { renews: `code ${String(y % 12)}` } : {}),
        ...(x % 7 === 0 ? { limits: { seatMs: pick([1_000, 5_000, 60_000], y) } } : {}),
        ...(y % 7 === 0 ? { serves: ['own'] } : {}),
      }
      const change = { codeId, feature, startsAt, allocations: count, kid, ...newer }
      const kept = content(y % 4 === 0 ? change : { ...change, expiresAt })
      return { type: 'add-code', text: 'text', content: kept }
    }
    if (kind < 92) return { type: 'remove-code', codeId: x % 5 === 0 ? 'first' : codeId }
    if (kind < 93) return { type: 'add-allocations', feature, count }
    if (kind < 94) return { type: 'add-feature', feature, allocations: count }
    if (kind < 97) {
      const targets = { [pick(names, x)]: x % 6, [pick(names, y)]: y % 6 }
      const kept = y % 3 === 0 ? 'even' : targets
      return { type: 'change-criteria', feature, targets: kept, thresholds: { a: 0.5 } }
    }
    if (kind === 97 && odd < 8) {
      return { type: 'set-role', server: pick(names, x), role: pick(roles, y) }
    }
    if (kind === 97 && odd < 16) {
      return { type: 'add-server', server: pick(names, x), role: y % 2 === 0 ? 'voter' : 'learner' }
    }
    if (kind < 98) return { type: 'set-threshold', feature, server: pick(names, x), threshold: 0.8 }
    if (kind < 99 && odd === 7) return { type: 'revoke-vendor', kid: pick(['kid-2', 'kid-3'], x) }
    if (kind < 99 && odd < 14) {
      return { type: 'add-vendor', vendor: { ...vendor, kid: 'kid-3' }, sameAs: vendor.kid }
    }
    if (kind < 99) return { type: 'add-vendor', vendor: { ...vendor, name: `n${String(x % 3)}` } }
    const leaseTicks = 3 + (y % 5)
    const settings = { tickMs: pick([1_000, 400, 2_000], x), leaseTicks, seatTicks: 2 + (z % 2) }
    return { type: 'change-settings', settings }
  }
}
