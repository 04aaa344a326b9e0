// Reads a socket into buffers of ours. Node lets only a socket that was connected by us do that
// (`onread`). An accepted one can do it as well, but the keys are hidden: they are taken from a
// socket that has them. It saves a fourth of the processor's time.

import { Socket } from 'node:net'

export type Inside = {
  _handle: { useUserBuffer?(buffer: Buffer): void; writeQueueSize?: number } | null
}

export type OwnBuffers = {
  /** The first `count` octets of the buffer were read. false: no more until `resume`. */
  take(count: number, buffer: Buffer): boolean
  /** What the first read goes into, and where there is no `next` all of them. */
  first: Buffer
  /** After each read: what the next one goes into. */
  next?(): Buffer
}

const names = hiddenNames()

/** Does this Node let us read into buffers of our own? */
export const readsIntoOwnBuffers = names !== undefined

/**
 * Not to be called while the socket's former reader reads. undefined: it cannot be done, and the
 * socket goes on with `data` events; else a function after which no buffer is held any more.
 */
export function readByOwnBuffers(socket: Socket, own: OwnBuffers): (() => void) | undefined {
  const handle = (socket as unknown as Partial<Inside>)._handle
  if (names === undefined || typeof handle?.useUserBuffer !== 'function') return undefined
  const inside = socket as unknown as Record<symbol, unknown>
  const { first, take, next } = own
  inside[names.take] = take
  inside[names.buffer] = first
  inside[names.next] = next ?? null
  handle.useUserBuffer(first)
  return () => {
    inside[names.buffer] = null
  }
}

function hiddenNames(): { buffer: symbol; next: symbol; take: symbol } | undefined {
  const model = new Socket({ onread: { buffer: Buffer.alloc(1), callback: () => true } })
  const symbols = Object.getOwnPropertySymbols(model)
  const named = (name: string) => symbols.find(({ description }) => description === name)
  const [buffer, next, take] = [named('kBuffer'), named('kBufferGen'), named('kBufferCb')]
  if (buffer === undefined || next === undefined || take === undefined) return undefined
  return { buffer, next, take }
}
