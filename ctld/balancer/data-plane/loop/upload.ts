// A request's body on its way to the instance, no faster than the instance takes it. Nothing of it
// is read before the connection stands, so a request whose connection failed can still go, whole,
// to another instance. Its framing is made anew.

import { createChunked, feedChunked } from '#ctld/balancer/data-plane/http1/chunked.ts'
import type { Problem } from './answers.ts'

/** The instance's end, as an upload needs it; an `Outlet` is one. */
export type UploadTo = {
  text(text: string): void
  octets(octets: Buffer, from: number, to: number): void
  flush(): void
  readonly isBehind: boolean
}

export type UploadState = 'goes_on' | 'full' | 'whole' | 'too_large' | 'invalid'

export class Upload {
  state: UploadState = 'goes_on'
  /** Of the body itself, without what chunks add to it. */
  bytes = 0
  readonly #chunked = createChunked()
  readonly #isChunked: boolean
  readonly #max: number
  #left: number
  /** Why it is invalid. */
  #reason = ''
  #to: UploadTo | undefined

  /** `length`: octets, -1 for chunks. `max`: 0 for no limit. */
  constructor(length: number, max: number) {
    this.#isChunked = length < 0
    this.#left = length
    this.#max = max
    if (length > max && max > 0) this.state = 'too_large'
  }

  get isWhole(): boolean {
    return this.state === 'whole'
  }

  get isConnected(): boolean {
    return this.#to !== undefined
  }

  /** Why it cannot go on, if so. */
  get problem(): Problem | undefined {
    if (this.state === 'invalid') return { status: 400, detail: this.#reason }
    if (this.state !== 'too_large') return undefined
    return { status: 413, detail: `the body is larger than ${this.#max} bytes` }
  }

  to(instance: UploadTo): void {
    this.#to = instance
  }

  writable(): void {
    if (this.state === 'full') this.state = 'goes_on'
  }

  /** Returns the offset up to which it took the octets: all of them, but what follows the body. */
  take(octets: Buffer, from: number, to: number): number {
    const end = this.#isChunked
      ? this.#takeChunks(octets, from, to)
      : this.#takeLength(octets, from, to)
    this.#to?.flush()
    if (this.state === 'goes_on' && this.#to?.isBehind === true) this.state = 'full'
    return end
  }

  #takeLength(octets: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + this.#left)
    this.#left -= end - from
    this.bytes += end - from
    this.#to?.octets(octets, from, end)
    if (this.#left === 0) this.state = 'whole'
    return end
  }

  #takeChunks(octets: Buffer, from: number, to: number): number {
    const chunked = this.#chunked
    const end = feedChunked(chunked, octets, from, to, this.#sink)
    if (end < 0) {
      this.state = 'invalid'
      this.#reason = chunked.reason
      return to
    }
    if (this.#max > 0 && this.bytes > this.#max) this.state = 'too_large'
    else if (chunked.isDone) {
      this.#to?.text(`0\r\n${chunked.trailers}\r\n`)
      this.state = 'whole'
    }
    return end
  }

  readonly #sink = (octets: Buffer, from: number, to: number): void => {
    if (to === from) return
    this.bytes += to - from
    this.#to?.text(`${(to - from).toString(16)}\r\n`)
    this.#to?.octets(octets, from, to)
    this.#to?.text('\r\n')
  }
}
