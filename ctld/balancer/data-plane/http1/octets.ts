// Decides which octet may stand where in a message (RFC 9110 section 5, RFC 9112). One table per
// class, so that a run of octets is checked with one look-up for each.

export const CR = 0x0d
export const LF = 0x0a
const SP = 0x20
const HT = 0x09
const DEL = 0x7f

const DIGITS = '0123456789'
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** RFC 9110 section 5.6.2. */
export const TOKEN = tableOf(`!#$%&'*+-._^\`|~${DIGITS}${LETTERS}`)

/** HTAB, SP, visible characters and obs-text. No other control character, and no DEL. */
export const VALUE = new Uint8Array(256).fill(1, SP).fill(0, 0x7f, 0x80)
VALUE[HT] = 1

/** Visible ASCII without `#`: a fragment is never sent (RFC 9112 section 3.2). */
export const TARGET = new Uint8Array(256).fill(1, 0x21, 0x7f)
TARGET['#'.charCodeAt(0)] = 0

/** The value of a hexadecimal digit plus one; 0 for everything else. */
export const HEX = new Uint8Array(256)
for (let digit = 0; digit < 16; digit += 1) {
  const text = digit.toString(16)
  HEX[text.charCodeAt(0)] = digit + 1
  HEX[text.toUpperCase().charCodeAt(0)] = digit + 1
}

/** RFC 3986 section 3.2.2, reg-name without percent-encoding: what no name in use needs. */
export const REG_NAME = tableOf(`-._~!$&'()*+;=${DIGITS}${LETTERS}`)

// The loops below are what reading a head costs. They compare with constants of this file: those of
// another one are loaded again for every octet.

/** Offset of the first octet from `at` on that is not in the table, or `to`. */
export function endOf(table: Uint8Array, bytes: Uint8Array, at: number, to: number): number {
  let end = at
  while (end < to && table[bytes[end] as number] !== 0) end += 1
  return end
}

/** As `endOf` with `VALUE`, and quicker: HTAB, SP, visible characters and obs-text go on. */
export function endOfValue(bytes: Uint8Array, from: number, to: number): number {
  let at = from
  while (at < to) {
    const octet = bytes[at] as number
    if (octet < SP && octet !== HT) break
    if (octet === DEL) break
    at += 1
  }
  return at
}

/** Offset of the first octet from `from` on that is neither SP nor HTAB, or `to`. */
export function endOfBlanks(bytes: Uint8Array, from: number, to: number): number {
  let at = from
  while (at < to && isBlank(bytes[at] as number)) at += 1
  return at
}

export function isBlank(octet: number): boolean {
  return octet === SP || octet === HT
}

function tableOf(members: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const member of members) table[member.charCodeAt(0)] = 1
  return table
}

/** Node has it on every Buffer, its types do not. It is the quickest way to a string. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as Buffer & { latin1Slice(start: number, end: number): string }).latin1Slice(
    start,
    end,
  )
}

export function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39
}
