// The socket to an instance: what it is read into, what is written through it, what its owner is
// told. It can be handed over to be one half of a tunnel; then nothing here touches it any more.

import { connect, type Socket } from 'node:net'
import type { Bulk } from './bulk.ts'
import { Outlet, type Scratch } from './outlet.io.ts'
import { ReadBuffer } from './read-buffer.ts'

export type InstanceSocketOwner = {
  /** The octets to come are of a body: there may be many. */
  readonly isInBody: boolean
  connected(): void
  /** The first `size` octets, which are not the owner's to keep. */
  read(octets: Buffer, size: number): void
  drained(): void
  /** `isEnd`: in order. `error`: where there is one. It may be told more than once. */
  lost(isEnd: boolean, error?: string): void
}

export class InstanceSocket {
  readonly outlet: Outlet
  readonly #socket: Socket
  readonly #buffer: ReadBuffer
  readonly #owner: InstanceSocketOwner

  constructor(
    shared: { readBuffer: Buffer; bulk: Bulk; scratch: Scratch },
    { host, port }: { host: string; port: number },
    owner: InstanceSocketOwner,
  ) {
    this.#owner = owner
    let isFirst = true
    const buffer = new ReadBuffer(shared.readBuffer, shared.bulk)
    this.#buffer = buffer
    const onread = {
      buffer: () => (isFirst ? buffer.first : buffer.next(owner.isInBody)) as Uint8Array,
      callback: (size: number, bytes: Uint8Array) => {
        buffer.filled(size, bytes.length)
        owner.read(bytes as Buffer, size)
        return true
      },
    }
    const socket = connect({ host, port, noDelay: true, onread })
    isFirst = false
    this.#socket = socket
    socket.on('connect', () => owner.connected())
    socket.on('error', this.#onError)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    socket.on('drain', this.#onDrain)
    this.outlet = new Outlet(socket, shared.scratch, this.#onDrain)
  }

  get isPaused(): boolean {
    return this.#socket.isPaused()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** An answer is whole. `isClientBehind`: some of it may not be written yet. */
  answered(isClientBehind: boolean): void {
    this.#buffer.ended(isClientBehind)
  }

  handOver(): Socket {
    const socket = this.#socket
    socket.off('error', this.#onError)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.off('drain', this.#onDrain)
    return socket
  }

  readonly #onError = (error: Error & { code?: string }): void => {
    this.#owner.lost(false, error.code ?? error.message)
  }

  readonly #onEnd = (): void => this.#owner.lost(true)

  readonly #onClose = (): void => this.#owner.lost(false)

  readonly #onDrain = (): void => this.#owner.drained()
}
