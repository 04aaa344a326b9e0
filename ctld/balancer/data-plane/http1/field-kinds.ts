// Decides which field names mean something to a proxy. A name is recognised from its bytes, without
// making a string of it. Everything not listed here is of no concern to us and is passed on.

/** `xTuc`, `xForwarded`: every name with that beginning. */
export const FIELD = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  upgrade: 6,
  expect: 7,
  te: 8,
  trailer: 9,
  proxyConnection: 10,
  proxyAuthenticate: 11,
  proxyAuthorization: 12,
  http2Settings: 13,
  xRequestId: 14,
  forwarded: 15,
  xRealIp: 16,
  via: 17,
  xTuc: 18,
  xForwardedFor: 19,
  xForwardedProto: 20,
  xForwardedHost: 21,
  xForwarded: 22,
  cookie: 23,
  setCookie: 24,
  date: 25,
  server: 26,
  /**
   * One of the above when its underscores are read as dashes, as programs behind CGI and WSGI do:
   * `Content_Length`, `X_Tuc_Inst`. Never to be passed on. Other names may have underscores.
   */
  underscore: 27,
} as const

export type FieldKind = (typeof FIELD)[keyof typeof FIELD]

const nameOf: readonly (readonly [string, FieldKind])[] = [
  ['host', FIELD.host],
  ['content-length', FIELD.contentLength],
  ['transfer-encoding', FIELD.transferEncoding],
  ['connection', FIELD.connection],
  ['keep-alive', FIELD.keepAlive],
  ['upgrade', FIELD.upgrade],
  ['expect', FIELD.expect],
  ['te', FIELD.te],
  ['trailer', FIELD.trailer],
  ['proxy-connection', FIELD.proxyConnection],
  ['proxy-authenticate', FIELD.proxyAuthenticate],
  ['proxy-authorization', FIELD.proxyAuthorization],
  ['http2-settings', FIELD.http2Settings],
  ['x-request-id', FIELD.xRequestId],
  ['forwarded', FIELD.forwarded],
  ['x-real-ip', FIELD.xRealIp],
  ['via', FIELD.via],
  ['x-forwarded-for', FIELD.xForwardedFor],
  ['x-forwarded-proto', FIELD.xForwardedProto],
  ['x-forwarded-host', FIELD.xForwardedHost],
  ['cookie', FIELD.cookie],
  ['set-cookie', FIELD.setCookie],
  ['date', FIELD.date],
  ['server', FIELD.server],
]

const prefixes: readonly (readonly [string, FieldKind])[] = [
  ['x-tuc-', FIELD.xTuc],
  ['x-forwarded-', FIELD.xForwarded],
]

const LOWER_X = 0x78
const SLOTS = 256
/** Found by trial: no two of the names share a slot, and no common name of no concern has one. */
const LENGTH_FACTOR = 25
const slots = new Uint8Array(SLOTS)
const lowerNames: Uint8Array[] = []
for (const [name, kind] of nameOf) {
  const lower = new TextEncoder().encode(name)
  const slot = slotOf(lower, 0, lower.length)
  // Two names in one slot would hide one of them. Another factor parts them.
  if (slots[slot] !== 0) throw new Error(`field names ${name} and another share slot ${slot}`)
  slots[slot] = kind
  lowerNames[kind] = lower
}
const prefixBytes = prefixes.map(([prefix, kind]) => {
  return { lower: new TextEncoder().encode(prefix), kind }
})

/** What the token between `start` and `end` names. `hasUnderscore`: whether there is one in it. */
export function kindOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  hasUnderscore: boolean,
): FieldKind {
  if (hasUnderscore) return kindWithUnderscores(bytes, start, end)
  const kind = slots[slotOf(bytes, start, end)] as FieldKind
  if (kind !== FIELD.other) {
    const lower = lowerNames[kind] as Uint8Array
    if (lower.length === end - start && beginsWith(bytes, start, lower)) return kind
  }
  if (((bytes[start] as number) | 0x20) !== LOWER_X) return FIELD.other
  for (const prefix of prefixBytes) {
    if (end - start > prefix.lower.length && beginsWith(bytes, start, prefix.lower)) {
      return prefix.kind
    }
  }
  return FIELD.other
}

/** First and last letter and length tell the names apart. `| 0x20` makes a letter small. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const first = (bytes[start] as number) | 0x20
  const last = (bytes[end - 1] as number) | 0x20
  return (first + last + (end - start) * LENGTH_FACTOR) & (SLOTS - 1)
}

/** Only for tokens: among their bytes, `| 0x20` changes nothing but the case of letters. */
export function beginsWith(bytes: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let at = 0; at < lower.length; at += 1) {
    if (((bytes[start + at] as number) | 0x20) !== lower[at]) return false
  }
  return true
}

function kindWithUnderscores(bytes: Uint8Array, start: number, end: number): FieldKind {
  // A copy: a Buffer's own `slice` is none, and these octets are the client's.
  const dashed = new Uint8Array(bytes.subarray(start, end))
  for (let at = 0; at < dashed.length; at += 1) if (dashed[at] === 0x5f) dashed[at] = 0x2d
  const isSpecial = kindOf(dashed, 0, dashed.length, false) !== FIELD.other
  return isSpecial ? FIELD.underscore : FIELD.other
}
