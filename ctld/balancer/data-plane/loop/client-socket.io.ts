// The socket of a client: what it is read into, what is written through it, what its owner is told.
// It can be handed over to be one half of a tunnel; then nothing here hears of it any more.

import type { Socket } from 'node:net'
import { readByOwnBuffers } from '#ctld/balancer/data-plane/tcp/own-buffers.io.ts'
import { reset } from '#ctld/balancer/data-plane/tcp/way.io.ts'
import { Outlet, type Scratch } from './outlet.io.ts'

export type ClientSocketOwner = {
  /** The first `size` octets, which are not the owner's to keep. */
  take(octets: Buffer, size: number): void
  drained(): void
  /** It may be told more than once. */
  gone(error: string): void
}

const CLOSED = 'the client closed its connection'

export class ClientSocket {
  readonly outlet: Outlet
  readonly #socket: Socket
  readonly #owner: ClientSocketOwner
  /** undefined: its octets come by `data` events. */
  readonly #stopReading: (() => void) | undefined
  #isPaused = false

  constructor(
    shared: { readBuffer: Buffer; scratch: Scratch },
    socket: Socket,
    owner: ClientSocketOwner,
  ) {
    this.#socket = socket
    this.#owner = owner
    this.outlet = new Outlet(socket, shared.scratch, this.#onDrain)
    this.#stopReading = readByOwnBuffers(socket, {
      first: shared.readBuffer,
      take: (size, buffer) => {
        owner.take(buffer, size)
        return true
      },
    })
    if (this.#stopReading === undefined) socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onEnd)
    socket.on('drain', this.#onDrain)
  }

  /** The kernel has all that was written. */
  get isWritten(): boolean {
    return this.outlet.isEmpty
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /** Says no more, and reads what the client still has to say. `onSent`: the kernel has all. */
  end(onSent: () => void): void {
    this.#socket.end(onSent)
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** So that the client sees that something is missing. */
  reset(): void {
    reset(this.#socket)
  }

  handOver(): Socket {
    const socket = this.#socket
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.off('close', this.#onEnd)
    socket.off('drain', this.#onDrain)
    return socket
  }

  readonly #onData = (octets: Buffer): void => this.#owner.take(octets, octets.length)

  // A client that has no more to say is taken to be gone, as most proxies and servers do.
  readonly #onEnd = (): void => this.#owner.gone(CLOSED)

  readonly #onError = (error: Error & { code?: string }): void => {
    this.#owner.gone(error.code ?? error.message)
  }

  readonly #onDrain = (): void => this.#owner.drained()
}
