/**
 * The NATS service protocol (ADR-32), so that NATS's own tools know a license server: `nats micro ls|info|stats`.
 *
 * It answers on `$SRV.PING|INFO|STATS`, with and without its name and id. The endpoints are those of clients, which
 * the seat service answers itself; how long it took for each is not measured, and said to be 0.
 */
import type { Bus, Clock, Random, Subscription } from '../../raft/ports.ts'
import { anyServer, inboxOf, type SeatOperation, type Subjects } from '../protocol/subject.ts'
import { packageVersion } from '../version.ts'
import type { SeatService } from './parts.ts'

const verbs = ['PING', 'INFO', 'STATS'] as const
type Verb = (typeof verbs)[number]

const serviceName = 'licd'
const operations = ['find', 'acquire', 'renew', 'release'] as const satisfies SeatOperation[]
const types = {
  PING: 'io.nats.micro.v1.ping_response',
  INFO: 'io.nats.micro.v1.info_response',
  STATS: 'io.nats.micro.v1.stats_response',
} as const

export interface MicroServer {
  readonly clientBus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly pool: string
  readonly server: string
  readonly subjects: Subjects
  readonly service: SeatService
}

export class Micro {
  readonly #server: MicroServer
  readonly #id: string
  readonly #version = packageVersion()
  readonly #started: string
  readonly #subscriptions: Subscription[]

  constructor(server: MicroServer) {
    this.#server = server
    this.#id = server.random.id()
    this.#started = new Date(server.clock.wall()).toISOString()
    const { clientBus: bus } = server
    this.#subscriptions = verbs.flatMap(verb => {
      const all = `$SRV.${verb}`
      return [all, `${all}.${serviceName}`, `${all}.${serviceName}.${this.#id}`].map(subject =>
        bus.subscribe(subject, message => {
          const reply = inboxOf(message.reply)
          if (reply !== undefined) bus.publish(reply, encode(this.#answer(verb)))
        }),
      )
    })
  }

  close(): void {
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe()
  }

  #answer(verb: Verb): object {
    const { pool, server } = this.#server
    const head = {
      ...{ type: types[verb], name: serviceName, id: this.#id, version: this.#version },
      metadata: { pool, server },
    }
    if (verb === 'PING') return head
    if (verb === 'INFO') {
      const description = `License server ${server} of pool ${pool}`
      return { ...head, description, endpoints: this.#endpoints().map(endpoint => endpoint.info) }
    }
    const endpoints = this.#endpoints().map(({ info, requests }) => ({
      ...{ name: info.name, subject: info.subject, queue_group: info.queue_group },
      ...{ num_requests: requests, num_errors: 0, last_error: '' },
      ...{ processing_time: 0, average_processing_time: 0 },
    }))
    return { ...head, started: this.#started, endpoints }
  }

  #endpoints() {
    const { subjects, service } = this.#server
    const { messages } = service.report.counts
    return operations.map(name => ({
      requests: messages[name],
      info: {
        name,
        subject: subjects.seat(anyServer, name),
        queue_group: subjects.queue,
        metadata: {},
      },
    }))
  }
}

function encode(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
