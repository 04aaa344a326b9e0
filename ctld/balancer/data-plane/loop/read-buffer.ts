// What a connection to an instance is read into: the buffer that all connections of the loop share,
// and a large one of its own while much comes at once.

import type { Bulk } from './bulk.ts'

/** Of the shared one. */
export const READ_SIZE = 64 * 1024

export class ReadBuffer {
  readonly #shared: Buffer
  readonly #bulk: Bulk
  #large: Buffer | undefined
  #isFull = false
  /** A slow client has not taken yet what lies in the large one. */
  #isInUse = false

  constructor(shared: Buffer, bulk: Bulk) {
    this.#shared = shared
    this.#bulk = bulk
  }

  get first(): Buffer {
    return this.#shared
  }

  /** So many octets were read into a buffer of that length. */
  filled(size: number, length: number): void {
    this.#isFull = size === length
  }

  /** An answer is whole. `isClientBehind`: some of it may still lie in the buffer. */
  ended(isClientBehind: boolean): void {
    if (isClientBehind) this.#isInUse = true
  }

  /** What the next octets are read into; undefined: what was used before. */
  next(isInBody: boolean): Buffer | undefined {
    const large = this.#large
    if (large === undefined) {
      this.#isInUse = false
      if (this.#isFull && isInBody) this.#large = this.#bulk.lend()
      return this.#large
    }
    if (isInBody && !this.#isInUse) return undefined
    // The next answer may have begun behind that of a slow client.
    if (!this.#isInUse) this.#bulk.giveBack(large)
    this.#isInUse = false
    this.#large = isInBody ? this.#bulk.lend() : undefined
    return this.#large ?? this.#shared
  }
}
