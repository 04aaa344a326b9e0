// Decides what the values of the framing fields say. Shared by requests and responses, so that
// both directions read a length, a coding and a list of options in the same way.

import { beginsWith } from './field-kinds.ts'
import { CONTENT_LENGTH_DIGITS_MAX } from './limits.ts'
import { endOf, isBlank, TOKEN } from './octets.ts'

const COMMA = 0x2c
const chunked = latin('chunked')
const close = latin('close')
const keepAlive = latin('keep-alive')
const upgrade = latin('upgrade')
const hundredContinue = latin('100-continue')

/** The length, or -1: not `1*DIGIT`, or more than can be counted (RFC 9110 section 8.6). */
export function parseLength(bytes: Uint8Array, start: number, end: number): number {
  if (start === end || end - start > CONTENT_LENGTH_DIGITS_MAX) return -1
  let length = 0
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1
}

/** Any other coding, and a list with empty members, is not what we read or write. */
export function isChunked(bytes: Uint8Array, start: number, end: number): boolean {
  return isWord(bytes, start, end, chunked)
}

export function isContinue(bytes: Uint8Array, start: number, end: number): boolean {
  return isWord(bytes, start, end, hundredContinue)
}

/** What a Connection field may say, as bits. `NAMED`: it names fields that end here. */
export const CLOSE = 1
export const KEEP_ALIVE = 2
export const UPGRADE = 4
export const NAMED = 8
export const MALFORMED = 16

/**
 * Reads one Connection field. Returns its options as bits; names of other fields are added to
 * `head.named`, in small letters. Empty members are skipped (RFC 9110 section 5.6.1.2), blanks
 * inside are not.
 */
export function readConnection(
  bytes: Uint8Array,
  start: number,
  end: number,
  head: { named: string[] | undefined },
): number {
  // Nearly always it is this one word.
  if (isWord(bytes, start, end, keepAlive)) return KEEP_ALIVE
  let options = 0
  let at = start
  while (at < end) {
    const octet = bytes[at] as number
    if (octet === COMMA || isBlank(octet)) {
      at += 1
      continue
    }
    const memberEnd = endOf(TOKEN, bytes, at, end)
    if (memberEnd === at) return MALFORMED
    options |= readOption(bytes, at, memberEnd, head)
    at = memberEnd
    while (at < end && isBlank(bytes[at] as number)) at += 1
    if (at < end && bytes[at] !== COMMA) return MALFORMED
  }
  return options
}

function readOption(
  bytes: Uint8Array,
  start: number,
  end: number,
  head: { named: string[] | undefined },
): number {
  if (isWord(bytes, start, end, keepAlive)) return KEEP_ALIVE
  if (isWord(bytes, start, end, close)) return CLOSE
  if (isWord(bytes, start, end, upgrade)) return UPGRADE
  head.named ??= []
  head.named.push(String.fromCharCode(...bytes.subarray(start, end)).toLowerCase())
  return NAMED
}

/** In any case. Of the octets a value may have, only letters become other letters by `| 0x20`. */
function isWord(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  return end - start === word.length && beginsWith(bytes, start, word)
}

function latin(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
