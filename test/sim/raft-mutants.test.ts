/**
 * Can the simulator fail? Known bugs, one at a time, are put into a copy of the compiled core; each must be caught
 * within a bounded number of seeds, and the figure says after how many.
 *
 * A bug that no longer fits the source fails as well: it has to be written anew.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import { Raft } from '../../raft/core/raft.ts'
import { stories } from './raft-stories.ts'
import { type RunOptions, runSeed } from './raft-world.ts'

interface Mutant {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly put: string
  /** Where chance would take too long. */
  readonly story?: keyof typeof stories
}

const mutants: readonly Mutant[] = [
  {
    name: 'an entry of an earlier term is committed by counting (Figure 8)',
    file: 'replication',
    find: 'state.log.termAt(index) === state.currentTerm',
    put: 'index > 0',
    story: 'oldEntryOnMajority',
  },
  {
    name: 'a vote is forgotten in a crash',
    file: 'state',
    find: 'votedFor: persisted.votedFor',
    put: 'votedFor: undefined',
    story: 'secondVoteAfterRestart',
  },
  {
    name: 'a term is forgotten in a crash',
    file: 'state',
    find: 'currentTerm: persisted.currentTerm',
    put: 'currentTerm: persisted.entries.at(-1)?.term ?? 0',
  },
  {
    name: 'an entry is acknowledged before it is on disk',
    file: 'follower',
    find: 'state.sendDurably(',
    put: 'state.send(',
  },
  {
    name: 'a vote is given before it is on disk',
    file: 'election',
    find: "state.sendDurably({ type: 'requestVoteReply'",
    put: "state.send({ type: 'requestVoteReply'",
  },
  {
    name: 'votes are asked for before the candidacy is on disk',
    file: 'election',
    find: `state.sendDurably({
            type: 'requestVote'`,
    put: `state.send({
            type: 'requestVote'`,
  },
  {
    name: 'the leader counts its own disk before it has written',
    file: 'replication',
    find: 'id === state.id ? state.persistedIndex',
    put: 'id === state.id ? state.log.lastIndex',
  },
  {
    name: 'entries are truncated without a conflict',
    file: 'follower',
    find: 'log.termAt(entry.index) !== entry.term',
    put: 'entry.index > 0',
  },
  {
    name: 'the consistency check is left out',
    file: 'follower',
    find: 'log.termAt(Math.max(prevLogIndex, commitIndex)) !== term',
    put: 'prevLogIndex > log.lastIndex',
  },
  {
    name: 'stepping down clears the vote (nats-server#7698)',
    file: 'election',
    find: 'state.votedFor === undefined || state.votedFor === from',
    put: "state.votedFor === undefined || state.votedFor === from || state.standing.role === 'follower'",
  },
  {
    name: 'logs are compared by length alone (openraft a48a3282)',
    file: 'log',
    find: 'if (lastLogTerm !== this.lastTerm)',
    put: 'if (false)',
  },
  {
    name: 'a candidate with an older log gets the vote',
    file: 'log',
    find: 'return lastLogTerm > this.lastTerm',
    put: 'return true',
  },
  {
    name: 'a follower commits beyond what matched (cockroach#36353)',
    file: 'follower',
    find: 'state.commitTo(Math.min(leaderCommit, lastIndex))',
    put: 'state.commitTo(Math.min(leaderCommit, log.lastIndex))',
    story: 'commitBeyondMatch',
  },
  {
    name: 'a heartbeat commits beyond what matched',
    file: 'follower',
    find: 'state.log.termAt(leaderCommit) === commitTerm',
    put: 'leaderCommit <= state.log.lastIndex',
  },
  {
    name: 'half of an even number is a majority (hashicorp 163a55f)',
    file: 'quorum',
    find: 'Math.floor(count / 2) + 1',
    put: 'Math.ceil(count / 2)',
  },
  {
    name: 'a read is answered without asking the others',
    file: 'reads',
    find: 'confirmedRound(state, leadership) < batch.round',
    put: 'false',
  },
  {
    name: 'a new leader reads before its no-op is committed',
    file: 'reads',
    find: 'state.committedInTerm',
    put: 'true',
  },
  {
    name: 'the old half of a joint configuration is not asked',
    file: 'quorum',
    find: 'outgoing.length === 0 ? value : Math.min(value, majorityValue(outgoing, valueOf))',
    put: 'value',
  },
  {
    name: 'a truncated configuration stays in force (canonical/raft#323)',
    file: 'state',
    find: 'this.history.truncateFrom(index);',
    put: '',
  },
  {
    name: 'a snapshot keeps a log that does not continue it',
    file: 'state',
    find: 'this.log.termAt(index) === term',
    put: 'this.log.lastIndex >= index',
  },
  {
    name: 'a snapshot is acknowledged before it is on disk',
    file: 'snapshot-receiver',
    find: 'state.sendDurably(',
    put: 'state.send(',
  },
  {
    name: 'a lost probe is never repeated (etcd#10308)',
    file: 'replication',
    find: 'mode.paused = false',
    put: 'mode.paused = true',
  },
  {
    name: 'a truncated proposal is called lost at once (Figure 8)',
    file: 'fate',
    find: '.filter(proposal => termAt(proposal.index) !== proposal.term)',
    put: '',
    story: 'truncatedComesBack',
  },
  {
    name: 'a leader that hears nobody goes on for ever',
    file: 'replication',
    find: 'if (hasLostQuorum(state, leadership))',
    put: 'if (false)',
  },
]

const seeds = Number(process.env.RAFT_MUTANT_SEEDS ?? 360)
const cases: readonly RunOptions[] = [
  { size: 3, harsh: true },
  { size: 5, harsh: true },
  { size: 2 },
  { size: 3, membership: true },
  { size: 4 },
  { size: 3, membership: true, harsh: true },
]

const compiled = fileURLToPath(new URL('../../raft/core/', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'raft-mutants-'))
t.setTimeout(300_000)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
writeFileSync(join(folder, 'package.json'), '{"type":"module"}')

/** The core with one bug in it. */
async function build({ file, find, put }: Mutant, number: number): Promise<typeof Raft> {
  const copy = join(folder, String(number))
  cpSync(compiled, copy, { recursive: true })
  const path = join(copy, `${file}.js`)
  const source = readFileSync(path, 'utf8')
  assert.equal(source.split(find).length, 2, `"${find}" stands once in ${file}`)
  writeFileSync(path, source.replace(find, put))
  const module = (await import(pathToFileURL(join(copy, 'raft.js')).href)) as {
    readonly Raft: typeof Raft
  }
  return module.Raft
}

/** By what it was caught; `undefined` when it was not. */
function caught(run: () => void): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : undefined
    assert(cause instanceof assert.AssertionError, String(error))
    return cause.message.split('\n')[0] ?? ''
  }
}

/** Runs seeds until one catches it. */
function hunt(core: typeof Raft): { readonly after: number; readonly by: string } | undefined {
  for (let n = 0; n < seeds; n++) {
    const options = cases[n % cases.length]
    assert(options !== undefined)
    const by = caught(() => void runSeed(n, { ...options, core, faultsMs: 2000 }))
    if (by !== undefined) return { after: n + 1, by }
  }
  return undefined
}

t.test('the core as it is passes every seed and every story', async t => {
  t.equal(hunt(Raft), undefined)
  for (const [name, story] of Object.entries(stories)) {
    t.equal(
      caught(() => story(Raft)),
      undefined,
      name,
    )
  }
})

t.test('known bugs are caught', async t => {
  for (const [number, mutant] of mutants.entries()) {
    const { name, story } = mutant
    const core = await build(mutant, number)
    if (story !== undefined) {
      const by = caught(() => stories[story](core))
      t.ok(by, `${name}: by the story ${story}`)
    } else {
      const found = hunt(core)
      t.ok(found, name)
      t.comment(found === undefined ? 'not caught' : `after ${found.after} seeds: ${found.by}`)
    }
  }
})
