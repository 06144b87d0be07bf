/** Unary gRPC calls over one HTTP/2 session, without a library: a frame out, a frame in. */
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import { once } from 'node:events'

const framePrefix = 5
const callMs = 10_000

export class Grpc {
  readonly #session: ClientHttp2Session

  private constructor(session: ClientHttp2Session) {
    this.#session = session
    // Calls under way fail by themselves.
    session.on('error', () => undefined)
  }

  static async connect(url: string): Promise<Grpc> {
    const session = connect(url)
    await once(session, 'connect')
    return new Grpc(session)
  }

  call(path: string, message: Uint8Array, timeoutMs = callMs): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: path,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        te: 'trailers',
      })
      const parts: Buffer[] = []
      let status: unknown
      let text: unknown
      const take = (headers: Record<string, unknown>): void => {
        status ??= headers['grpc-status']
        text ??= headers['grpc-message']
      }
      stream.setTimeout(timeoutMs, () => stream.close(constants.NGHTTP2_CANCEL))
      stream.on('response', take)
      stream.on('trailers', take)
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.once('error', reject)
      stream.once('close', () => {
        if (status === '0') resolve(Buffer.concat(parts).subarray(framePrefix))
        else reject(new Error(`grpc ${String(status)} ${String(text)}`))
      })
      const frame = Buffer.alloc(framePrefix + message.length)
      frame.writeUInt32BE(message.length, 1)
      frame.set(message, framePrefix)
      stream.end(frame)
    })
  }

  close(): void {
    this.#session.destroy()
  }
}
