// Builds a line of the access log: one JSON object with who ended a request, in which phase and
// how long each part took. Never a header or a body, and a path without its query: these carry
// secrets. It is made for every request, so it costs less than a microsecond.

export type Access = {
  /** ISO 8601, see `createStamp`. */
  at: string
  client: string
  service: string
  /** '': none was chosen. */
  instance: string
  method: string
  host: string
  /** The target as it was sent, with or without its query. */
  path: string
  /** 0: there was no answer. */
  status: number
  bytesIn: number
  bytesOut: number
  /** Microseconds. */
  queueUs: number
  connectUs: number
  firstByteUs: number
  totalUs: number
  retries: number
  /** Did it go on a connection that had served before? */
  isReused: boolean
  endedBy: '' | 'client' | 'instance' | 'balancer'
  /** Where it broke off; '': it went well. */
  phase: '' | 'request' | 'queue' | 'connect' | 'head' | 'body' | 'tunnel'
  requestId: string
  /** '': none. */
  error: string
}

export const PATH_LENGTH_MAX = 2_048

/** Ends with a line break. Times are milliseconds with three decimals at most. */
export function accessLine(access: Access): string {
  const { error } = access
  return (
    `{"at":"${access.at}","client":"${plain(access.client)}","service":"${plain(access.service)}` +
    `","instance":"${plain(access.instance)}","method":"${plain(access.method)}","host":"` +
    `${plain(access.host)}","path":"${plain(pathOf(access.path))}","status":${access.status}` +
    `,"bytes_in":${access.bytesIn},"bytes_out":${access.bytesOut},"queue_ms":` +
    `${ms(access.queueUs)},"connect_ms":${ms(access.connectUs)},"first_byte_ms":` +
    `${ms(access.firstByteUs)},"total_ms":${ms(access.totalUs)},"retries":${access.retries}` +
    `,"reused":${access.isReused},"ended_by":"${access.endedBy}","phase":"${access.phase}` +
    `","request_id":"${plain(access.requestId)}"${error === '' ? '' : `,"error":"${plain(error)}"`}}\n`
  )
}

/** Wall time as ISO 8601. The text of a second is made once. */
export function createStamp(): (wallMs: number) => string {
  let second = Number.NaN
  let text = ''
  return (wallMs) => {
    const now = Math.floor(wallMs / 1_000)
    if (now !== second) {
      second = now
      text = new Date(now * 1_000).toISOString().slice(0, -4)
    }
    return `${text}${DIGITS[Math.floor(wallMs - now * 1_000)]}Z`
  }
}

function pathOf(target: string): string {
  const query = target.indexOf('?')
  const end = query === -1 ? target.length : query
  if (end <= PATH_LENGTH_MAX) return query === -1 ? target : target.slice(0, end)
  return target.slice(0, PATH_LENGTH_MAX)
}

/** What stands in JSON as it is: printable ASCII without `"` and `\`. */
const STRANGE = /[^ !#-[\]-~]/

function plain(text: string): string {
  return STRANGE.test(text) ? escaped(text) : text
}

function escaped(text: string): string {
  return text.replaceAll(/[^ !#-[\]-~]/g, (unit) => {
    if (unit === '"' || unit === '\\') return `\\${unit}`
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

const DIGITS = Array.from({ length: 1_000 }, (_, value) => String(value).padStart(3, '0'))
const DECIMALS = DIGITS.map((digits) => `.${digits}`.replace(/\.?0*$/, ''))

function ms(us: number): string {
  const whole = Math.round(us)
  const full = Math.floor(whole / 1_000)
  return `${full}${DECIMALS[whole - full * 1_000]}`
}
