/**
 * Leadership transfer (thesis 3.10): stop taking work, bring the target level, tell it to campaign at once.
 *
 * If it does not happen within T, the leader goes on as before: a transfer costs at worst that pause.
 */
import { isVoter, votersOf } from './configuration.ts'
import type { TransferRefusal } from './effect.ts'
import { isHeard } from './heartbeat.ts'
import type { Leadership } from './leadership.ts'
import { becomeFollower } from './roles.ts'
import type { State } from './state.ts'

export function transfer(state: State, id: number, to: string | undefined): void {
  const { leadership, outbox } = state
  const refuse = (reason: TransferRefusal) =>
    void outbox.transfers.push({ id, outcome: 'refused', reason })
  if (leadership === undefined) return refuse('not-leader')
  const target = to ?? bestTarget(state, leadership)
  if (target === state.id) return void outbox.transfers.push({ id, outcome: 'done' })
  if (leadership.transfer !== undefined) return refuse('busy')
  if (target === undefined || !isTarget(state, leadership, target)) return refuse('no-target')
  leadership.transfer = { id, target, startedAt: state.now, sent: false }
}

function isTarget(state: State, { progress }: Leadership, id: string): boolean {
  const peer = progress.get(id)
  if (peer === undefined || !peer.isTrusted) return false
  return isVoter(state.configuration, id) && isHeard(state, peer)
}

/** The voter that is furthest; of several the first by id. */
function bestTarget(state: State, leadership: Leadership): string | undefined {
  const { configuration } = state
  const matchOf = (id: string) => leadership.progress.get(id)?.matchIndex ?? 0
  const targets = votersOf(configuration).filter(id => isTarget(state, leadership, id))
  return targets.sort((a, b) => matchOf(b) - matchOf(a))[0]
}

/** Tells the target once it has everything. Nothing was taken since, so it stays so. */
export function pumpTransfer(state: State, leadership: Leadership): void {
  const { transfer: under } = leadership
  if (under === undefined || under.sent) return
  const peer = leadership.progress.get(under.target)
  if (peer?.countedIndex !== state.log.lastIndex) return
  under.sent = true
  state.send({ type: 'timeoutNow', ...state.envelope(under.target) })
}

export function elapseTransfer(state: State, leadership: Leadership): void {
  const { transfer: under } = leadership
  if (under === undefined) return
  if (state.now - under.startedAt < state.settings.electionTimeoutMs) return
  leadership.transfer = undefined
  state.outbox.transfers.push({ id: under.id, outcome: 'refused', reason: 'timeout' })
}

/** Leads no longer, whatever comes of it; a voter that has everything is told to go on. */
export function handOver(state: State, leadership: Leadership): void {
  const target = bestTarget(state, leadership)
  const peer = target === undefined ? undefined : leadership.progress.get(target)
  if (peer?.matchIndex === state.log.lastIndex) {
    state.send({ type: 'timeoutNow', ...state.envelope(peer.id) })
  }
  becomeFollower(state, state.currentTerm, undefined)
}
