// Writes to a client or an instance, with as few calls of the system as can be: short pieces gather
// as text, longer ones go through one buffer of the loop, so that nothing is allocated for a peer
// that takes what it is sent. What a slow peer leaves unwritten is never written over.

import type { Socket } from 'node:net'
import { latin1 } from '#ctld/balancer/data-plane/http1/octets.ts'
import type { OwnWrites } from '#ctld/balancer/data-plane/tcp/own-writes.io.ts'
import { unsentOf } from '#ctld/balancer/data-plane/tcp/way.io.ts'

/** Shorter pieces are written as text together with what is around them. */
const TEXT_MAX = 2 * 1024
const SCRATCH_SIZE = 96 * 1024

/** One of each loop: what is written at once needs no buffer of its own. */
export type Scratch = {
  buffer: Buffer
  /** A way past the stream of a connected socket, where this Node has one. */
  writesOf(socket: Socket, onTaken: () => void): OwnWrites | undefined
}

export function createScratch(writesOf: Scratch['writesOf']): Scratch {
  return { buffer: newBuffer(), writesOf }
}

function newBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(SCRATCH_SIZE)
}

export class Outlet {
  readonly #socket: Socket
  readonly #scratch: Scratch
  /** Called when all was taken of what at first was not. */
  readonly #onTaken: () => void
  /** undefined: not looked for yet; null: this Node has none. */
  #own: OwnWrites | null | undefined
  #pending = ''
  /** Large pieces that the stream has not written yet. */
  #largeOnes = 0
  #unsent = 0

  constructor(socket: Socket, scratch: Scratch, onTaken: () => void) {
    this.#socket = socket
    this.#scratch = scratch
    this.#onTaken = onTaken
  }

  text(text: string): void {
    this.#pending += text
  }

  /**
   * The octets may be used again at once, except those of a piece that is longer than the scratch
   * buffer: they have to stay as they are until `isBehind` is false.
   */
  octets(octets: Buffer, from: number, to: number): void {
    const size = to - from
    if (size <= TEXT_MAX) {
      this.#pending += latin1(octets, from, to)
      return
    }
    const { buffer } = this.#scratch
    const pending = this.#pending
    if (size + pending.length > SCRATCH_SIZE) {
      this.flush()
      this.#write(octets.subarray(from, to), this.#onWritten)
      if (this.#own === null && !this.#socket.destroyed) this.#largeOnes += 1
      return
    }
    const at = pending === '' ? 0 : buffer.write(pending, 0, 'latin1')
    this.#pending = ''
    octets.copy(buffer, at, from, to)
    this.#write(buffer.subarray(0, at + size))
    // The kernel did not take all of it, so the buffer is the socket's until it has.
    if (!this.isEmpty) this.#scratch.buffer = newBuffer()
  }

  flush(): void {
    if (this.#pending === '') return
    const text = this.#pending
    this.#pending = ''
    if (this.#socket.destroyed) return
    const own = this.#ownWrites()
    if (own === null) this.#socket.write(text, 'latin1')
    else own.text(text)
  }

  /** Is the peer slower than what is written? */
  get isBehind(): boolean {
    return this.#own?.isPending === true || this.#largeOnes > 0 || this.#socket.writableNeedDrain
  }

  /** Has the kernel taken all that was written? */
  get isEmpty(): boolean {
    return this.#own?.isPending !== true && this.#socket.writableLength === 0
  }

  /** Has the peer taken something since the last look? */
  hasMoved(): boolean {
    const before = this.#unsent
    this.#unsent = unsentOf(this.#socket)
    return this.#unsent < before
  }

  #write(piece: Buffer, onWritten?: () => void): void {
    if (this.#socket.destroyed) return
    const own = this.#ownWrites()
    if (own === null) this.#socket.write(piece, onWritten)
    else own.octets(piece)
  }

  #ownWrites(): OwnWrites | null {
    this.#own ??= this.#scratch.writesOf(this.#socket, this.#onTaken) ?? null
    return this.#own
  }

  readonly #onWritten = (): void => {
    this.#largeOnes -= 1
    if (this.#largeOnes === 0) this.#onTaken()
  }
}
