// The cookie that leads a client back to its instance. It holds a short hash of the instance's id:
// the same in every loop and after every restart, and nothing needs to be remembered.

const FNV64_OFFSET_HIGH = 0xcbf29ce4
const FNV64_OFFSET_LOW = 0x84222325
/** The prime of 64 bits is 2^40 + this. */
const FNV64_PRIME_LOW = 0x1b3
const TWO_32 = 2 ** 32

/** 16 hex digits: FNV-1a of 64 bits over the code units. */
export function tokenOf(instance: string): string {
  let high = FNV64_OFFSET_HIGH
  let low = FNV64_OFFSET_LOW
  for (let at = 0; at < instance.length; at += 1) {
    low = (low ^ instance.charCodeAt(at)) >>> 0
    const product = low * FNV64_PRIME_LOW
    const carry = Math.floor(product / TWO_32)
    high = (Math.imul(high, FNV64_PRIME_LOW) + (low << 8) + carry) >>> 0
    low = product >>> 0
  }
  return hex(high) + hex(low)
}

/** Who is meant by which token. */
export function byToken<T extends { instance: string }>(
  candidates: readonly T[],
): ReadonlyMap<string, T> {
  return new Map(candidates.map((candidate) => [tokenOf(candidate.instance), candidate]))
}

/**
 * The value of the first cookie of that name in a Cookie field (RFC 6265 section 4.2), as it
 * stands there. undefined: there is none.
 */
export function cookieValue(cookieHeader: string, name: string): string | undefined {
  let at = cookieHeader.indexOf(name)
  while (at !== -1) {
    const equals = at + name.length
    if (cookieHeader.charCodeAt(equals) === EQUALS && isStart(cookieHeader, at)) {
      const end = cookieHeader.indexOf(';', equals)
      return cookieHeader.slice(equals + 1, end === -1 ? undefined : end).trim()
    }
    at = cookieHeader.indexOf(name, at + 1)
  }
  return undefined
}

/** The value of a Set-Cookie field. It lasts as long as the browser's session. */
export function setCookie(name: string, token: string): string {
  return `${name}=${token}; Path=/; HttpOnly; SameSite=Lax`
}

const EQUALS = '='.charCodeAt(0)
const SEMICOLON = ';'.charCodeAt(0)
const SPACE = ' '.charCodeAt(0)
const TAB = '\t'.charCodeAt(0)

/** Does a cookie begin here? A name may stand in another one's value, too. */
function isStart(text: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && (text.charCodeAt(before) === SPACE || text.charCodeAt(before) === TAB)) {
    before -= 1
  }
  return before < 0 || text.charCodeAt(before) === SEMICOLON
}

function hex(number: number): string {
  return number.toString(16).padStart(8, '0')
}
