/**
 * Scenarios as text: what happens to a few real cores, told command by command, with what they did below.
 *
 * A file is comments (`#`), then blocks: commands, one a line, `----`, and the output, up to an empty line. The output
 * is the test; UPDATE=1 writes it anew, and then it is read again before it is believed. Words in capitals in an output
 * (NOTHING THERE, STOPS, VIOLATION) tell of what should not be; the properties of the paper's Figure 3 are looked at
 * after every step. The commands are below.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Violation } from './transcript-checks.ts'
import { commands, parseArguments } from './transcript-commands.ts'
import { World } from './transcript-world.ts'

/*
 * Notation: `3t2` is the entry at index 3 of term 2; {a b c} a configuration, {a b d / a b c + e} a joint one: the new
 * voters / the old ones + learners. Disks, state machines and stored chunks are instant unless held. Names of servers
 * are letters. `*` stands for all.
 *
 * Beginning
 *   cluster a b c learners=d blank=e heartbeatMs=50   founders whose log is one entry, 1t1 {a b c + d}; e knows nothing
 *   add f                      a server that knows nothing
 *   log a: 1 1 4 4             a starts with entries of these terms instead (the first stays the configuration)
 *   term a 7 vote=b            a starts with this currentTerm and votedFor instead
 * Time (in steps of 10 ms)
 *   elapse a 150               for a alone; messages stay where they are. `elapse * 150`: for all
 *   campaign a                 for a alone until it asks for votes
 *   wait a 5                   so five times, and says how long it took
 *   run 500 [a b]              for all (or these), delivering everything; heartbeats are shown only if they do something
 *   elect a [with=b,c]         until a leads and all is quiet, delivering among all (or these); tells only the outcome
 * Messages (one queue, in the order of their sending)
 *   deliver a>b [type] [n]     those that fit: `a>*`, `*>b`, `*`; the oldest n; nth=2: the second; order=newest
 *   drop | duplicate ...       likewise
 *   keep old a>b appendEntries takes one out, to be delivered by `replay old`, any number of times
 *   inject a>b requestVote term=3 lastLogIndex=1 lastLogTerm=1          as if it had been sent, see transcript-forge.ts
 *   inject a>b appendEntries term=2 prev=1t1 entries=2t2:x,3t2:noop leaderCommit=1
 *   inject a>b installSnapshot term=2 at=9t2    one empty chunk, of a, b and c
 *   stabilize [a b]            delivers until nothing is left (between these)
 *   cut a>b c                  links that lose everything; a name alone: to and from all others. heal [a>b c]
 *   unreachable a b            a is told that nobody listens at b
 * Disk and state machine
 *   hold a disk|apply|chunks   from now on nothing of it is done by itself; release a disk|apply|chunks
 *   persist a [n]              ends the oldest n writes (all), one by one; apply a [n], store a [n] likewise (store: order=newest)
 *   crash a                    loses what is not on disk, and all messages that waited for it; restart a;
 *   restart a partial=2        with the first 2 chunks of the snapshot that it was receiving (else none)
 *   wipe a | lose a 2          an empty disk; a disk without its last 2 entries. trust a relearning: what the disk says
 *   snapshot a chunks=3        of what is applied, durable at once
 * Callers
 *   propose a x y:100          commands named x and y, the latter padded to 100 bytes
 *   propose-patient a x        nobody waits for it at a follower. tell a 3: what is committed up to 3 is told now
 *   read a r1                  a read named r1
 *   change a voters=d learners=e,f remove=c | transfer a [b] | step-down a | stall a 3000
 * Output
 *   log a | status a | machine a | queue | check          what is there; check: the properties once more
 *   hide|show heartbeat heartbeatReply rounds             lines about these types; rounds (not shown at first)
 *   quiet COMMAND              without its output
 */

interface Block {
  readonly comments: readonly string[]
  readonly commands: readonly string[]
  readonly expected: readonly string[]
}

/** Where the files are: beside the sources, wherever the compiled code runs. LICD_TRANSCRIPTS overrides it. */
export function transcriptFolder(): string {
  const given = process.env['LICD_TRANSCRIPTS']
  if (given !== undefined && given !== '') return given
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, 'test', 'raft', 'transcripts')
    if (existsSync(candidate)) return candidate
    assert.notEqual(dirname(folder), folder, 'the folder of transcripts is not above')
  }
}

/** Paths of all files, relative to the folder, sorted. */
export function transcriptFiles(folder = transcriptFolder()): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.txt'))
    .sort()
}

function parse(text: string): Block[] {
  const blocks: Block[] = []
  let comments: string[] = []
  let wanted: string[] = []
  let expected: string[] | undefined
  const end = () => {
    if (expected !== undefined) blocks.push({ comments, commands: wanted, expected })
    else if (wanted.length > 0) blocks.push({ comments, commands: wanted, expected: [] })
    else if (comments.length > 0) blocks.push({ comments, commands: [], expected: [] })
    comments = []
    wanted = []
    expected = undefined
  }
  for (const line of text.split('\n').map(line => line.trimEnd())) {
    if (line === '') end()
    else if (expected !== undefined) expected.push(line)
    else if (line === '----') expected = []
    else if (line.startsWith('#') && wanted.length === 0) comments.push(line)
    else wanted.push(line)
  }
  end()
  return blocks
}

/** Of one block's output. */
const mostLines = 100

/** The output of one block. */
function output(world: World, block: Block): string[] {
  for (const line of block.commands) {
    try {
      perform(world, line)
    } catch (error) {
      if (!(error instanceof Violation))
        throw new Error(`${line}: ${String(error)}`, { cause: error })
      world.lines.push(`VIOLATION of ${error.message}`)
    }
  }
  const lines = world.lines.splice(0)
  assert(
    lines.length <= mostLines,
    `${lines.length} lines that nobody reads: ${block.commands[0] ?? ''}`,
  )
  return lines
}

function perform(world: World, line: string): void {
  const [name = '', ...rest] = line.replace(/\s#.*$/, '').split(/\s+/)
  if (name === 'quiet') return world.quietly(() => perform(world, rest.join(' ')))
  const command = commands[name]
  assert(command !== undefined, `no command ${name}`)
  command(world, parseArguments(rest))
}

/** The text as it should be, by what the cores do now. */
export function rewritten(text: string): string {
  const world = new World()
  const blocks = parse(text).map(block => {
    if (block.commands.length === 0) return block.comments
    return [...block.comments, ...block.commands, '----', ...output(world, block)]
  })
  return blocks.map(lines => `${lines.join('\n')}\n`).join('\n')
}

export interface Difference {
  readonly file: string
  readonly line: number
  readonly expected: string
  readonly found: string
}

/** Runs one file. @returns the first difference. UPDATE=1 writes the file anew instead. */
export function runTranscript(file: string, folder = transcriptFolder()): Difference | undefined {
  const path = join(folder, file)
  const before = readFileSync(path, 'utf8')
  const after = rewritten(before)
  if (process.env['UPDATE'] === '1') {
    if (after !== before) writeFileSync(path, after)
    return undefined
  }
  const expected = before.split('\n')
  const found = after.split('\n')
  const at = found.findIndex((line, n) => line !== expected[n])
  const line = at < 0 ? found.length : at
  if (at < 0 && expected.length === found.length) return undefined
  return { file, line: line + 1, expected: expected[line] ?? '', found: found[line] ?? '' }
}
