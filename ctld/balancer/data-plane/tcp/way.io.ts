// One direction between two sockets: reads into buffers that are used again, and reads no more
// while the other side has not taken what there is. A buffer is only used again when all of it
// has left: otherwise one client would get the bytes of another.

import type { Socket } from 'node:net'
import { type Inside, readByOwnBuffers } from './own-buffers.io.ts'

/** An idle connection holds no more than this. */
const SMALL_BYTES = 4 * 1024
/** A reader that is slower than the writer costs two of these. */
const MIDDLE_BYTES = 64 * 1024
/** Halves the system calls of a large transfer between fast ends. */
const LARGE_BYTES = 256 * 1024
const SPARES_MAX = 8

export type Way = {
  bytes: number
  /** Grows with everything that moves: who compares it later knows whether it was silent. */
  moves: number
}

/**
 * Carries what `from` sends to `to`, from now on, and ends `to` when `from` has ended. Takes the
 * place of whatever read `from` before. What `from` has sent and others have read is theirs.
 */
export function openWay(from: Socket, to: Socket): Way {
  const way = { bytes: 0, moves: 0 }
  to.on('drain', () => {
    way.moves += 1
    from.resume()
  })
  if (from.readableEnded) to.end()
  else from.once('end', () => to.end())
  const pass = (piece: Buffer) => {
    way.bytes += piece.length
    way.moves += 1
    return to.write(piece)
  }
  from.pause()
  // Not at once: this may be called out of a read of `from`, and after that Node asks for the next
  // buffer. It would get one of ours for the former reader, and what is read would lie elsewhere.
  process.nextTick(() => {
    readInto(from, to, pass)
    // What the stream itself holds from before comes this way, and all where Node has changed.
    from.on('data', (piece: Buffer) => {
      if (!pass(piece)) from.pause()
    })
    from.resume()
  })
  return way
}

/** Unsent bytes of a socket that the kernel has not taken; it shrinks while the peer reads. */
export function unsentOf(socket: Socket): number {
  return (socket as Partial<Inside>)._handle?.writeQueueSize ?? 0
}

/**
 * Ends a connection so that the peer knows it was cut. Not while its FIN is on the way: Node would
 * then neither reset nor close it.
 */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}

function readInto(from: Socket, to: Socket, pass: (piece: Buffer) => boolean): void {
  let size = SMALL_BYTES
  let spare: Buffer | undefined
  let kept: Buffer | undefined
  let current: Buffer | undefined

  const next = () => {
    const buffer = spare?.length === size ? spare : bufferOf(size)
    if (spare !== undefined && spare !== buffer) giveBack(spare)
    spare = undefined
    current = buffer
    return buffer
  }
  const take = (count: number, buffer: Buffer): boolean => {
    const isFull = count === buffer.length
    const piece = isFull ? buffer : buffer.subarray(0, count)
    const isBehind = to.writableLength > 0
    if (isBehind && count <= buffer.length / 2) {
      spare = buffer
      return pass(Buffer.from(piece))
    }
    const goesOn = pass(piece)
    if (to.writableLength === 0) {
      spare = buffer
      size = sizeAfter(count, size)
    } else {
      size = Math.min(size, MIDDLE_BYTES)
      if (!isBehind) kept = buffer
    }
    return goesOn
  }

  const stop = readByOwnBuffers(from, { first: next(), take, next })
  if (stop === undefined) return
  to.on('drain', () => {
    if (kept !== undefined && spare === undefined) spare = kept
    kept = undefined
  })
  from.once('close', () => {
    // The one that waits for the next read; nothing is ever written from it.
    if (current !== undefined) giveBack(current)
    stop()
  })
}

function sizeAfter(count: number, size: number): number {
  if (count === size) return size === SMALL_BYTES ? MIDDLE_BYTES : LARGE_BYTES
  return count <= SMALL_BYTES ? SMALL_BYTES : size
}

const spares = new Map<number, Buffer[]>([
  [MIDDLE_BYTES, []],
  [LARGE_BYTES, []],
])

function bufferOf(size: number): Buffer {
  return spares.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size)
}

function giveBack(buffer: Buffer): void {
  const free = spares.get(buffer.length)
  if (free !== undefined && free.length < SPARES_MAX) free.push(buffer)
}
