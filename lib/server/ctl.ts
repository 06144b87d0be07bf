/**
 * The operators' side of a server: requests on `ctl.<operation>` (any server answers one) and
 * `ctl.<operation>.<server>` (this one answers).
 *
 * A change is committed through the leader, whichever server was asked (claims 8, 10, 12), and answered when it
 * was applied *here*. Questions are answered from the local state, after a look whether the log holds more: what
 * one server has confirmed, the next one asked knows too, as long as there is a leader to ask.
 *
 * Nothing a request holds can take the server down or change anything but by a command: each ends in an answer,
 * a coded one when it is wrong.
 */
import type { BusMessage, Subscription } from '../../raft/ports.ts'
import { commandCodec } from '../command-codec.ts'
import type { CommandBody } from '../ledger/command.ts'
import type { ServerRole } from '../ledger/state.ts'
import { ctlBounds, type Change } from '../protocol/ctl.ts'
import { inboxOf } from '../protocol/subject.ts'
import { admit, tellNow } from './ctl-admission.ts'
import { noMajority, noteFirst } from './ctl-note.ts'
import { ListAnswers } from './ctl-lists.ts'
import type { CtlOptions } from './ctl-options.ts'
import {
  busy,
  codeTextMax,
  isChangeOperation,
  isCommandId,
  isKeyId,
  isMemberOperation,
  originOf,
  readBody,
  readChange,
  readMember,
  readTimeout,
  refuse,
  type Fields,
  type MemberOperation,
} from './ctl-request.ts'
import {
  answerTo,
  answerWith,
  decodeAsked,
  encodeFitting,
  transferRefusal,
  type Answer,
} from './ctl-wire.ts'
import { ledgerLists, listKeys } from './ledger-lists.ts'

/** Requests being answered at a time. Beyond it one is answered LICD_TOO_BUSY. */
const underWayMax = 1_000
/** A question waits so long for the leader's word on how far the log goes, then takes what is here. */
const barrierMs = 500
const forwardedHeader = 'Licd-Forwarded'

type Done = (answer: Answer) => void

interface Request {
  readonly operation: string
  readonly fields: Fields
  readonly message: BusMessage
}

export class Ctl {
  readonly #options: CtlOptions
  readonly #lists: ListAnswers
  #subscriptions: Subscription[] = []
  #underWay = 0
  #dropped = 0

  constructor(options: CtlOptions) {
    this.#options = options
    this.#lists = new ListAnswers(options)
  }

  start(): void {
    const { bus, subjects, server } = this.#options
    const handle = (message: BusMessage): void => this.#receive(message)
    this.#subscriptions = [
      bus.subscribe(subjects.ctl('*'), handle, { queue: subjects.queue }),
      bus.subscribe(subjects.ctlAt('*', server), handle),
    ]
  }

  stop(): void {
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe()
  }

  #receive(message: BusMessage): void {
    const reply = inboxOf(message.reply)
    if (reply === undefined) {
      this.#dropped++
      this.#options.log.debug('ctl-dropped', { subject: message.subject, dropped: this.#dropped })
      return
    }
    const isJson = message.header('Content-Type') === 'application/json'
    const answer: Done = given => this.#reply(reply, isJson, given)
    if (message.data.length > ctlBounds.messageBytes) {
      answer(refuse('LICD_TOO_LARGE', `${message.data.length} bytes.`))
      return
    }
    const asked = decodeAsked(message.data, isJson)
    const operation = message.subject.split('.')[4] ?? ''
    if (asked === undefined) {
      answer(refuse('LICD_BAD_REQUEST', `The request is no ${isJson ? 'JSON' : 'msgpack'} object.`))
    } else if (!isList(asked)) this.#take({ operation, fields: asked, message }, answer)
    else if (!isChangeOperation(operation)) {
      answer(refuse('LICD_BAD_REQUEST', `There are no lists of ${JSON.stringify(operation)}.`))
    } else {
      for (const [place, fields] of asked.entries()) {
        this.#take({ operation, fields, message }, given => this.#lists.add(reply, place, given))
      }
    }
  }

  /** `answer` is called once. */
  #take(request: Request, answer: Done): void {
    if (this.#underWay >= underWayMax) {
      answer(busy('The server answers as many operators as it may.'))
      return
    }
    this.#underWay++
    let isAnswered = false
    this.#dispatch(request, given => {
      if (isAnswered) return
      isAnswered = true
      this.#underWay--
      answer(given)
    })
  }

  #dispatch({ operation, fields: given, message }: Request, done: Done): void {
    const admitted = admit(operation, given, this.#options.doors)
    if (!admitted.ok) return done(admitted)
    const fields = admitted.value
    if (isMemberOperation(operation)) return this.#decide(operation, fields, message, done)
    if (isChangeOperation(operation)) {
      const change = readChange(fields)
      if (!change.ok) return done(change)
      const body = readBody(operation, fields)
      if (!body.ok) return done(body)
      return this.#commit(change.value, body.value, done)
    }
    switch (operation) {
      case 'status':
        return this.#atPage(fields, () => done(this.#options.status(fields)))
      case 'why':
        return done(this.#options.why(fields))
      case 'seats':
        return done(this.#options.seats(fields))
      case 'code-list':
      case 'vendor-list': {
        const list = ledgerLists[operation]
        return this.#atPage(fields, () => done(list(this.#options.ledger(), fields)))
      }
      case 'usage':
      case 'audit': {
        const list = ledgerLists[operation]
        return this.#afterBarrier(() => done(list(this.#options.ledger(), fields)))
      }
      case 'account':
        return this.#options.accounts.answer(fields, done)
      case 'account-push':
        return this.#pushAccount(fields, done)
      case 'now':
        return done(answerWith('now', tellNow(this.#options.doors)))
      case 'key-list': {
        const { keys, ledger } = this.#options
        return keys.look(() => this.#afterBarrier(() => done(listKeys(ledger(), keys.keys))))
      }
      case 'key-use':
        return this.#useKey(fields, done)
      case 'outcome':
        return this.#outcome(fields, done)
      case 'code-add':
        return this.#addCode(fields, done)
      case 'transfer-leader':
        return this.#transfer(fields, message, done)
      case 'servers':
        return this.#afterBarrier(() => done(answerWith('servers', this.#options.members())))
      case 'snapshot-open':
        return noteFirst(this.#options, { fields, action: 'snapshot-save' }, done, () =>
          this.#afterBarrier(caughtUp => this.#options.backups.open(caughtUp, done)),
        )
      case 'snapshot-read':
        return this.#options.backups.read(fields, done)
      default:
        return done(
          refuse('LICD_BAD_REQUEST', `There is no operation ${JSON.stringify(operation)}.`),
        )
    }
  }

  /**
   * Submits, and answers by the outcome here or, at the latest, when the operator's time is over.
   *
   * A copy of it whose deadline has passed says nothing of its id: others may be under way, from an earlier request
   * or through another server. So it goes again while there is time, and "refused by its deadline" is told only
   * where the ledger remembers it: then no copy can take effect (R8).
   */
  #commit(change: Change, body: CommandBody, done: Done, extra: object = {}): void {
    const { clock, submit, withdraw, ledger, leader, isCurrent } = this.#options
    const { id, by, timeoutMs, fresh } = change
    const origin = originOf(change, ledger().state)
    // Servers of before could not read it. Raised, a pool never goes back.
    if (body.type !== 'set-level' && commandCodec.levelOf(body) > ledger().state.level) {
      return done(refuse('LICD_LEVEL', `That is of level ${commandCodec.levelOf(body)}.`))
    }
    let step: 'looking' | 'submitted' | 'over' = 'looking'
    const timer = clock.after(timeoutMs, () => {
      const never = step === 'looking' || withdraw(id)
      step = 'over'
      if (never) return done(refuse('LICD_NO_LEADER', 'Nothing was changed.'))
      const late = `No outcome within ${timeoutMs} ms.`
      const why = leader() === undefined ? 'The leader was lost while it was under way.' : late
      return done(refuse('LICD_UNKNOWN_OUTCOME', why))
    })
    const end = clock.now() + timeoutMs
    const attempt = (): void => {
      const { tickMs } = ledger().state.settings
      const deadlineTicks = Math.ceil((end - clock.now()) / tickMs) + 1
      submit({ id, by, ...origin, deadlineTicks }, body, outcome => {
        if (outcome.type === 'expired' && step !== 'over') return attempt()
        timer.cancel()
        const told = { ...extra, leader: leader(), atOnce: ctlBounds.changesAtOnce }
        done(answerTo(outcome, told, ledger().state))
      })
    }
    const go = (): void => {
      if (step === 'over') return
      step = 'submitted'
      attempt()
    }
    // What another server has applied is known here first: a repeated command is then told as such.
    return fresh === true && isCurrent() ? go() : this.#afterBarrier(go)
  }

  /** Who belongs to the pool. The leader alone can tell whether a change is wise now (`Membership.judge`). */
  #decide(operation: MemberOperation, fields: Fields, message: BusMessage, done: Done): void {
    const { leader, server, ledger, membership } = this.#options
    const change = readChange(fields)
    if (!change.ok) return done(change)
    const body = readMember(operation, fields)
    if (!body.ok) return done(body)
    const current = leader()
    if (current === undefined) return done(noMajority)
    if (current !== server) return this.#passOn(operation, current, message, done)
    const { state } = ledger()
    // A repeated command is told what it was told before, whatever would be wise now.
    const isKnown = state.results.has(change.value.id)
    if (isKnown) return this.#commit(change.value, body.value, done)
    return membership.judge(change.value.id, body.value, refusal => {
      if (refusal !== undefined) return done({ ok: false, ...refusal })
      const role = state.servers.get(body.value.server)?.role
      const unchanged = body.value.type === 'add-server' ? isMember(role) : role === body.value.role
      return this.#commit(change.value, body.value, done, { unchanged })
    })
  }

  /** Only the leader can do it: it gets the request as it came, and answers it. */
  #passOn(operation: string, leader: string, message: BusMessage, done: Done): void {
    const { bus, subjects, server } = this.#options
    const { reply } = message
    if (reply === undefined || message.header(forwardedHeader) !== undefined) {
      return done(refuse('LICD_NO_LEADER', 'The leader is just changing.'))
    }
    const type = message.header('Content-Type')
    const json = type === undefined ? {} : { 'Content-Type': type }
    const headers = { [forwardedHeader]: server, ...json }
    bus.publish(subjects.ctlAt(operation, leader), message.data, { reply, headers })
    return done(passedOn)
  }

  #addCode(fields: Fields, done: Done): void {
    const change = readChange(fields)
    if (!change.ok) return done(change)
    const { text } = fields
    if (typeof text !== 'string' || text.length > codeTextMax) {
      return done(
        refuse('LICD_CODE_MALFORMED', `It must be a text of at most ${codeTextMax} bytes.`),
      )
    }
    // A vendor trusted a moment ago through another server must be known here before the code is judged.
    this.#afterBarrier(() => {
      const { vendors, fingerprint, calendar } = this.#options.ledger().state
      const judged = this.#options.judge.code(text, { vendors, fingerprint, calendar })
      if (!judged.ok) return done(refuse(judged.code, judged.detail ?? ''))
      const { content } = judged
      return this.#commit(change.value, { type: 'add-code', text, content }, done, { content })
    })
  }

  /** Whether every server holds it is for the ledger to say. */
  #useKey(fields: Fields, done: Done): void {
    const { keys, ledger } = this.#options
    const change = readChange(fields)
    if (!change.ok) return done(change)
    const { kid, before } = fields
    if (!isKeyId(kid) || (before !== undefined && !isKeyId(before))) {
      return done(refuse('LICD_BAD_REQUEST', 'Fields kid and before must be ids of keys.'))
    }
    return keys.look(() => {
      const known = before ?? ledger().state.tokenKeys?.current ?? keys.keys.making ?? ''
      this.#commit(change.value, { type: 'use-key', kid, before: known }, done)
    })
  }

  #pushAccount(fields: Fields, done: Done): void {
    const { accounts, ledger, leader } = this.#options
    return accounts.judge(fields, judged => {
      if (!judged.ok) return done(judged)
      if (ledger().state.level >= 2 && leader() === undefined) return done(noMajority)
      const note = { fields, action: 'account-push', detail: judged.value }
      return noteFirst(this.#options, note, done, () => accounts.push(fields, done))
    })
  }

  /** Must not be a guess: without a leader to say how far the log goes there is no answer. */
  #outcome({ id }: Fields, done: Done): void {
    if (!isCommandId(id)) return done(refuse('LICD_BAD_REQUEST', 'Field id must be a command id.'))
    return this.#afterBarrier(caughtUp => {
      const remembered = this.#options.ledger().state.results.get(id)
      if (remembered !== undefined) {
        const { result } = remembered
        done(answerWith('outcome', { outcome: result.ok ? 'applied' : 'refused', result }))
      } else if (caughtUp) done(answerWith('outcome', { outcome: 'unknown' }))
      else done(refuse('LICD_NO_LEADER', 'The outcome cannot be told now.'))
    })
  }

  #transfer(fields: Fields, message: BusMessage, done: Done): void {
    const { server, leader, ledger } = this.#options
    const timeout = readTimeout(fields)
    if (!timeout.ok) return done(timeout)
    const { to } = fields
    if (to !== undefined && (typeof to !== 'string' || !ledger().state.servers.has(to))) {
      return done(refuse('LICD_UNKNOWN_SERVER', 'Field to names none of the pool.'))
    }
    const current = leader()
    if (current === undefined) return done(refuse('LICD_NO_LEADER', 'Nothing was changed.'))
    if (current !== server) return this.#passOn('transfer-leader', current, message, done)
    if (to === server) return done(answerWith('transfer-leader', { leader: server }))
    const detail = to ?? 'whoever is fit'
    return noteFirst(this.#options, { fields, action: 'transfer-leader', detail }, done, () =>
      this.#options.transfer(to, problem => {
        if (problem !== undefined) done(transferRefusal(problem))
        else this.#awaitLeader(timeout.value, done)
      }),
    )
  }

  /** Answers with the new leader as soon as this server knows it. */
  #awaitLeader(leftMs: number, done: Done): void {
    const { clock, leader, server } = this.#options
    const current = leader()
    if (current !== undefined && current !== server) {
      return done(answerWith('transfer-leader', { leader: current }))
    }
    if (leftMs <= 0) return done(answerWith('transfer-leader', {}))
    clock.after(50, () => this.#awaitLeader(leftMs - 50, done))
  }

  /** What the first page waited for is here when the next one is asked for, of the same server. */
  #atPage({ after }: Fields, answer: () => void): void {
    if (after === undefined) this.#afterBarrier(answer)
    else answer()
  }

  #afterBarrier(run: (caughtUp: boolean) => void): void {
    const { clock, leader, barrier } = this.#options
    if (leader() === undefined) return run(false)
    let isDone = false
    const finish = (caughtUp: boolean): void => {
      if (isDone) return
      isDone = true
      timer.cancel()
      run(caughtUp)
    }
    const timer = clock.after(barrierMs, () => finish(false))
    return barrier(finish)
  }

  #reply(reply: string, isJson: boolean, answer: Answer): void {
    if (answer === passedOn) return
    const { bus, server } = this.#options
    const headers = isJson ? { headers: { 'Content-Type': 'application/json' } } : {}
    bus.publish(reply, encodeFitting(answer, server, { isJson, bytesMax: bus.maxPayload }), headers)
  }
}

/** The answer comes from another server. */
const passedOn: Answer = { ok: true, data: {} }

function isList(asked: Fields | readonly Fields[]): asked is readonly Fields[] {
  return Array.isArray(asked)
}

function isMember(role: ServerRole | undefined): boolean {
  return role !== undefined && role !== 'removed'
}
