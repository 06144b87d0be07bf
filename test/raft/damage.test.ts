/**
 * Damage of every kind done to the files of one of three running servers: is it noticed, is it contained, is it
 * healed, and is everything still there that was acknowledged?
 *
 * The files are a copy taken while the server ran, as a crash leaves them, before the damage is done. "Votes again"
 * is shown by taking away one of the other two: no leader is elected then without the damaged server's vote.
 *
 * | damage                            | noticed at start             | healed by                     |
 * | --------------------------------- | ---------------------------- | ----------------------------- |
 * | none                              | nothing                      | nothing to heal               |
 * | bit flip in the middle of the log | dropped records              | leader                        |
 * | a page of 4 KiB zeroed            | a hole                       | leader                        |
 * | bit flip in the last record       | dropped records              | leader                        |
 * | tail cut by 5,000 bytes           | missing batches, by the mark | leader                        |
 * | bit flip in a table               | a broken entry, by our CRC   | leader                        |
 * | a table missing                   | a missing file               | leader                        |
 * | the log missing                   | missing batches, by the mark | leader                        |
 * | CURRENT or the manifest missing   | a missing file               | leader                        |
 * | the whole database missing        | by vote file and mark        | leader                        |
 * | vote file missing or damaged      | by its CRC                   | the own database has the vote |
 * | mark missing or damaged           | by its CRC                   | the next batch writes it      |
 * | vote file and mark missing        | vote in doubt                | leader, then an operator      |
 * | log and vote file damaged         | vote in doubt                | leader, then an operator      |
 * | everything missing                | an empty store               | leader, then an operator      |
 *
 * Nothing acknowledged is lost in any of them. An operator demotes and promotes whoever may have forgotten a vote.
 */
import { createHash } from 'node:crypto'
import { cp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Trust } from '../../raft/core/input.ts'
import type { ConfigurationChange } from '../../raft/index.ts'
import { startNatsServer } from '../nats-server.ts'
import { Cluster, commit, testSettings, type Member } from './cluster.ts'

t.setTimeout(240_000)
const server = await startNatsServer()
t.teardown(() => server.stop())

const ids = ['a', 'b', 'c']
const walBytes = 5_000

/** What a start has to say, and who makes the server a full member again. */
type Kind = {
  /** `texts` are parts of entries that are still needed. */
  readonly damage: (folder: string, texts: readonly string[]) => Promise<void>
  readonly found?: RegExp
  readonly trust: Trust['kind']
  readonly needsTable?: true
}

async function fileIn(folder: string, pattern: RegExp): Promise<string> {
  const names = (await readdir(join(folder, 'db'))).filter(name => pattern.test(name)).sort()
  const name = names.at(-1)
  if (name === undefined) throw new Error(`no ${String(pattern)} in ${folder}`)
  return join(folder, 'db', name)
}

async function change(file: string, edit: (bytes: Buffer) => void): Promise<void> {
  const bytes = await readFile(file)
  edit(bytes)
  await writeFile(file, bytes)
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 0x10
}

const wal = /\.log$/
const kinds: Record<string, Kind> = {
  none: { damage: async () => {}, trust: 'full' },
  'bit flip in the middle of the log': {
    damage: async folder =>
      change(await fileIn(folder, wal), bytes => flip(bytes, Math.floor(bytes.length / 2))),
    found: /dropping \d+ bytes/,
    trust: 'relearning',
  },
  'a page of 4 KiB zeroed': {
    damage: async folder =>
      change(await fileIn(folder, wal), bytes => {
        const start = Math.floor(bytes.length / 2 / 4096) * 4096
        bytes.fill(0, start, start + 4096)
      }),
    found: /dropping \d+ bytes|has a hole/,
    trust: 'relearning',
  },
  'bit flip in the last record': {
    damage: async folder =>
      change(await fileIn(folder, wal), bytes => flip(bytes, bytes.length - 40)),
    found: /dropping \d+ bytes/,
    trust: 'relearning',
  },
  'tail cut by 5,000 bytes': {
    damage: async folder => {
      const file = await fileIn(folder, wal)
      await truncate(file, (await readFile(file)).length - walBytes)
    },
    found: /the last \d+ batches of the database are missing/i,
    trust: 'relearning',
  },
  'bit flip in a table': {
    damage: async (folder, texts) => {
      const names = (await readdir(join(folder, 'db'))).filter(name => name.endsWith('.ldb'))
      const tables = await Promise.all(names.map(name => readFile(join(folder, 'db', name))))
      // Compression may have cut some of them in pieces.
      const text = texts.find(one => tables.some(bytes => bytes.includes(one)))
      if (text === undefined) throw new Error('no entry lies in a table')
      for (const [n, bytes] of tables.entries()) {
        const at = bytes.indexOf(text)
        if (at < 0) continue
        flip(bytes, at)
        await writeFile(join(folder, 'db', names[n] ?? ''), bytes)
      }
    },
    found: /entry \d+ is broken/i,
    needsTable: true,
    trust: 'relearning',
  },
  'a table missing': {
    damage: async folder => rm(await fileIn(folder, /\.ldb$/)),
    found: /missing/i,
    needsTable: true,
    trust: 'relearning',
  },
  'the log missing': {
    damage: async folder => rm(await fileIn(folder, wal)),
    found: /missing/i,
    trust: 'relearning',
  },
  'CURRENT missing': {
    damage: async folder => rm(await fileIn(folder, /^CURRENT$/)),
    found: /CURRENT is missing/,
    trust: 'relearning',
  },
  'the manifest missing': {
    damage: async folder => rm(await fileIn(folder, /^MANIFEST/)),
    found: /MANIFEST-\d+.* is missing/,
    trust: 'relearning',
  },
  'the whole database missing': {
    damage: async folder => rm(join(folder, 'db'), { recursive: true }),
    found: /the database is missing/i,
    trust: 'relearning',
  },
  'the vote file missing': { damage: async folder => rm(join(folder, 'vote')), trust: 'full' },
  'the vote file damaged': {
    damage: async folder => writeFile(join(folder, 'vote'), Buffer.alloc(1024, 7)),
    trust: 'full',
  },
  'the mark missing': { damage: async folder => rm(join(folder, 'mark')), trust: 'full' },
  'the mark damaged': {
    damage: async folder => writeFile(join(folder, 'mark'), Buffer.alloc(1024, 7)),
    trust: 'full',
  },
  'vote file and mark missing': {
    damage: async folder => {
      await rm(join(folder, 'vote'))
      await rm(join(folder, 'mark'))
    },
    found: /vote file is missing/,
    trust: 'unknown',
  },
  'log and vote file damaged': {
    damage: async folder => {
      await change(await fileIn(folder, wal), bytes => flip(bytes, Math.floor(bytes.length / 2)))
      await change(join(folder, 'vote'), bytes => flip(bytes, 20))
    },
    found: /dropping \d+ bytes/,
    trust: 'unknown',
  },
  'everything missing': {
    damage: async folder => {
      await rm(folder, { recursive: true })
    },
    trust: 'unknown',
  },
}

/** What no compression finds twice. */
function nonce(n: number): string {
  return createHash('sha256').update(String(n)).digest('hex').slice(0, 16)
}

class World {
  readonly cluster: Cluster
  readonly folder: string
  readonly acknowledged: string[] = []
  /** What was proposed without an answer: it may be there. */
  readonly #uncertain = new Set<string>()
  #proposed = 0
  readonly #trust = new Map<string, Trust['kind']>()
  #wake: () => void = () => {}

  constructor(folder: string) {
    this.folder = folder
    this.cluster = new Cluster(server.url, folder, 'damage', {
      settings: { ...testSettings, trailingEntries: 100 },
      snapshotEveryEntries: 60,
      trace: raft => {
        if (this.#trust.get(raft.id) === raft.trust.kind) return
        this.#trust.set(raft.id, raft.trust.kind)
        this.#wake()
      },
    })
  }

  async commit(count: number): Promise<void> {
    for (const end = this.acknowledged.length + count; this.acknowledged.length < end;) {
      const text = `${this.#proposed++} ${nonce(this.#proposed)} ${'x'.repeat(300)}`
      const { outcome } = await commit(this.cluster, text)
      if (outcome === 'committed') this.acknowledged.push(text)
      else this.#uncertain.add(text)
    }
  }

  /** What of a machine was acknowledged, as it stands there. */
  linesOf({ machine }: Member): string[] {
    return machine.lines.filter(line => !this.#uncertain.has(line))
  }

  trust(id: string): Trust['kind'] | undefined {
    return this.#trust.get(id)
  }

  async untilTrusted(id: string): Promise<void> {
    while (this.#trust.get(id) !== 'full')
      await new Promise<void>(resolve => (this.#wake = resolve))
  }

  forget(id: string): void {
    this.#trust.delete(id)
  }

  /** As an operator: repeated until it is done. */
  async reconfigure(request: ConfigurationChange): Promise<void> {
    for (;;) {
      const { node } = await this.cluster.leader()
      const next = this.cluster.change()
      const outcome = await new Promise<string>(resolve => {
        node.changeConfiguration(request, answer => resolve(answer.outcome))
      })
      if (outcome === 'done') return
      await Promise.race([next, this.commit(1)])
    }
  }
}

async function suffer(t: Test, world: World, victim: string, kind: Kind): Promise<string> {
  const { cluster } = world
  const folder = join(world.folder, victim)
  const texts = world.acknowledged.slice(-20).map(line => line.split(' ')[1] ?? '')
  await world.commit(25)
  await cluster.converged(world.acknowledged.length)
  // As a crash leaves it: nothing was closed.
  await cp(folder, `${folder}.copy`, { recursive: true })
  await cluster.kill(victim)
  world.forget(victim)
  await rename(folder, `${folder}.was-${world.acknowledged.length}`)
  await rename(`${folder}.copy`, folder)
  await kind.damage(folder, texts)
  await world.commit(3)

  const { storage } = await cluster.start(victim)
  const { damage } = storage
  if (kind.found === undefined) t.equal(damage, undefined, 'nothing to tell of')
  else t.match(damage, kind.found, 'noticed')
  await world.commit(2)
  if (kind.trust === 'unknown') {
    await cluster.converged(world.acknowledged.length)
    t.equal(world.trust(victim), 'unknown', 'taught, and without a voice')
    await world.reconfigure({ learners: [victim] })
    await world.reconfigure({ voters: [victim] })
  }
  await world.untilTrusted(victim)
  await cluster.converged(world.acknowledged.length)
  t.equal(storage.damage, undefined, 'healed')
  for (const member of cluster.all) {
    t.strictSame(world.linesOf(member), world.acknowledged, `${member.id} has everything`)
    t.strictSame(member.fatal, [])
  }
  // One of the others goes, the leader if it is not the victim: the two that are left need each other's vote.
  const leader = await cluster.leader()
  const gone = leader.id === victim ? ids.find(id => id !== victim) : leader.id
  const away: Member = cluster.member(gone ?? '')
  await cluster.kill(away.id)
  await world.commit(1)
  await cluster.start(away.id)
  await cluster.converged(world.acknowledged.length)
  const kept = (await readdir(folder)).filter(name => name.startsWith('damaged-'))
  return `found: ${damage ?? '-'}; kept: ${kept.join(' ') || '-'}`
}

t.test('damage of every kind, in one cluster', { bail: true }, async t => {
  const world = new World(t.testdir())
  await world.cluster.found(ids)
  await world.commit(70)
  await world.cluster.converged(70)
  for (const [what, kind] of Object.entries(kinds)) {
    await t.test(what, async t => {
      // The leader every third time. A start moves what is in the log into a table.
      for (const id of kind.needsTable === true ? ids : []) {
        await world.cluster.stop(id)
        await world.cluster.start(id)
      }
      const leader = await world.cluster.leader()
      const others = ids.filter(id => id !== leader.id)
      const turn = Object.keys(kinds).indexOf(what) % 3
      const victim = [others[0], others[1], leader.id][turn] ?? leader.id
      const started = performance.now()
      const told = await suffer(t, world, victim, kind)
      const role = victim === leader.id ? 'leader' : 'follower'
      t.comment(`${what} | ${role} | ${told} | ${Math.round(performance.now() - started)} ms`)
      // What is kept is for an operator to look at and move away.
      for (const name of await readdir(join(world.folder, victim))) {
        if (name.startsWith('damaged-')) {
          await rm(join(world.folder, victim, name), { recursive: true })
        }
      }
    })
  }
  await world.cluster.end()
})
