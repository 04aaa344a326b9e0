// Decides what the line before a chunk says: its size, and that nothing is hidden behind it
// (RFC 9112 sections 7.1 and 7.1.1). It can be fed in pieces cut anywhere. Extensions are checked,
// counted and forgotten.

import {
  CHUNK_EXTENSION_LENGTH_MAX,
  CHUNK_EXTENSIONS_LENGTH_MAX,
  CHUNK_SIZE_DIGITS_MAX,
} from './limits.ts'
import { CR, HEX, LF, TOKEN, VALUE } from './octets.ts'

export type ChunkLine = {
  isDone: boolean
  /** Octets of data in the chunk; 0 for the last one. */
  size: number
  reason: string
  state: State
  /** Digits of the size, or octets of the name or value that is being read. */
  length: number
  /** Octets of extensions, in this line and in all lines of the body. */
  extension: number
  extensions: number
}

type State = 'size' | 'name' | 'value' | 'quoted' | 'escape' | 'after_quoted' | 'lf'

const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUOTE = 0x22
const BACKSLASH = 0x5c

export function createChunkLine(): ChunkLine {
  return {
    isDone: false,
    size: 0,
    reason: '',
    state: 'size',
    length: 0,
    extension: 0,
    extensions: 0,
  }
}

/**
 * Reads on from `from`; after `isDone` it begins with the next line. Returns the offset after what
 * it read, which is `to` unless the line is done, or -1 when the line is refused.
 */
export function readChunkLine(line: ChunkLine, bytes: Buffer, from: number, to: number): number {
  if (line.isDone) {
    line.isDone = false
    line.size = 0
    line.length = 0
    line.extension = 0
    line.state = 'size'
  }
  for (let at = from; at < to; at += 1) {
    const octet = bytes[at] as number
    const state = next(line, octet)
    if (state === undefined) return refuse(line, octet)
    if (state === 'done') {
      line.isDone = true
      return at + 1
    }
    line.state = state
  }
  return to
}

/**
 * Blanks are allowed nowhere. RFC 9112 asks to tolerate them around an extension's parts, but the
 * ways in which servers do not agree on what else they tolerate there are many.
 */
function next(line: ChunkLine, octet: number): State | 'done' | undefined {
  if (line.state === 'size') return afterSize(line, octet)
  if (line.state === 'lf') return octet === LF ? 'done' : undefined
  line.extension += 1
  line.extensions += 1
  if (line.extension > CHUNK_EXTENSION_LENGTH_MAX) return undefined
  if (line.extensions > CHUNK_EXTENSIONS_LENGTH_MAX) return undefined
  switch (line.state) {
    case 'name':
      return octet === EQUALS && line.length > 0 ? begin(line, 'value') : inToken(line, octet)
    case 'value':
      return octet === QUOTE && line.length === 0 ? 'quoted' : inToken(line, octet)
    case 'quoted':
      if (octet === QUOTE) return 'after_quoted'
      if (octet === BACKSLASH) return 'escape'
      return VALUE[octet] === 0 ? undefined : 'quoted'
    case 'escape':
      return VALUE[octet] === 0 ? undefined : 'quoted'
    case 'after_quoted':
      if (octet === CR) return 'lf'
      return octet === SEMICOLON ? begin(line, 'name') : undefined
  }
}

function afterSize(line: ChunkLine, octet: number): State | undefined {
  const digit = HEX[octet] as number
  if (digit !== 0) {
    line.length += 1
    // The brackets matter: beyond 2^53 a sum that is too great by one is rounded down.
    line.size = line.size * 16 + (digit - 1)
    const isTooLong = line.length > CHUNK_SIZE_DIGITS_MAX || line.size > Number.MAX_SAFE_INTEGER
    return isTooLong ? undefined : 'size'
  }
  if (line.length === 0) return undefined
  if (octet === CR) return 'lf'
  return octet === SEMICOLON ? begin(line, 'name') : undefined
}

function inToken(line: ChunkLine, octet: number): State | undefined {
  if (TOKEN[octet] !== 0) {
    line.length += 1
    return line.state
  }
  if (line.length === 0) return undefined
  if (octet === CR) return 'lf'
  return octet === SEMICOLON ? begin(line, 'name') : undefined
}

function begin(line: ChunkLine, state: State): State {
  line.length = 0
  return state
}

function refuse(line: ChunkLine, octet: number): number {
  const where = line.state === 'size' ? 'size' : line.state === 'lf' ? 'line end' : 'extension'
  line.reason = `a chunk's ${where} that is too long or has the octet 0x${octet.toString(16)}`
  return -1
}
