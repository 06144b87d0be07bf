/** Servers that answer operators by script, over the in-memory broker and virtual time. */
import { Packr } from 'msgpackr'
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import type { Signer } from '../../lib/ctl/signing.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import type { BusMessage } from '../../raft/ports.ts'
import { MemoryBroker } from '../sim/memory-bus.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

export const packr = new Packr({ useRecords: false })
const { ctl, ctlAt, queue } = subjects('default')

type Request = Record<string, unknown> & { readonly id?: string }
/** What a scripted server answers; undefined for nothing at all. */
export type Script = (operation: string, request: Request) => object | Uint8Array | undefined

export function makeWorld() {
  const time = new VirtualTime()
  const broker = new MemoryBroker({ time, random: new SeededRandom(1) })
  const clock = new VirtualClock(time)
  const bus = broker.connect('operator', clock)
  const client = (options: { server?: string; timeoutMs?: number; signer?: Signer } = {}) =>
    new CtlClient({
      bus,
      clock,
      random: new SeededRandom(2),
      pool: 'default',
      by: 'tester@host',
      ...options,
    })
  return { time, broker, clock, bus, client }
}
type World = ReturnType<typeof makeWorld>

/** A server that answers by script, and remembers what it was asked. */
export function addServer(world: World, name: string, script: Script) {
  const bus = world.broker.connect(name, new VirtualClock(world.time))
  const asked: { operation: string; request: Request }[] = []
  const handle = ({ subject, data, reply }: BusMessage): void => {
    const operation = subject.split('.')[4] ?? ''
    const request = packr.unpack(data) as Request
    asked.push({ operation, request })
    const answer = script(operation, request)
    if (answer === undefined || reply === undefined) return
    bus.publish(
      reply,
      answer instanceof Uint8Array ? answer : packr.pack({ server: name, ...answer }),
    )
  }
  bus.subscribe(ctl('*'), handle, { queue })
  bus.subscribe(ctlAt('*', name), handle)
  return { bus, asked }
}

/** Lets virtual time run until the promise is settled: promises and time take turns. */
export async function settle<T>(world: World, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const mark = () => void (isSettled = true)
  promise.then(mark, mark)
  for (;;) {
    await new Promise(resolve => setImmediate(resolve))
    if (isSettled) return promise
    if (!world.time.step()) throw new Error('nothing is left that could settle it')
  }
}

export const applied = { ok: true, revision: 7, duplicate: false }
export const refused = (code: string, detail = '') => ({ ok: false, code, detail })
