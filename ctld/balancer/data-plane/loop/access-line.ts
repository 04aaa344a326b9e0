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
  /** Of `A-Z a-z 0-9 . _ -` alone. */
  requestId: string
  /** '': none. */
  error: string
}

export const PATH_LENGTH_MAX = 2_048

/**
 * Ends with a line break. Times are milliseconds with three decimals at most. `at` and `requestId`
 * are taken as they are.
 */
export function accessLine(access: Access): string {
  const { queueUs, connectUs, error } = access
  const waits =
    queueUs === 0 && connectUs === 0
      ? ',"queue_ms":0,"connect_ms":0,"first_byte_ms":'
      : `,"queue_ms":${ms(queueUs)},"connect_ms":${ms(connectUs)},"first_byte_ms":`
  const line =
    `{"at":"${access.at}","client":"${plainClient(access.client)}${whereOf(access)}` +
    `${plain(pathOf(access.path))}${statusOf(access.status)}${access.bytesIn}` +
    `,"bytes_out":${access.bytesOut}${waits}${ms(access.firstByteUs)}` +
    `,"total_ms":${ms(access.totalUs)}${outcomeOf(access)}${access.requestId}`
  return error === '' ? `${line}"}\n` : `${line}","error":"${plain(error)}"}\n`
}

/** Wall time as ISO 8601. What is the same as before is not made again. */
export function createStamp(): (wallMs: number) => string {
  let millisecond = Number.NaN
  let second = Number.NaN
  let start = ''
  let text = ''
  return (wallMs) => {
    const now = Math.floor(wallMs)
    if (now === millisecond) return text
    millisecond = now
    const nowSecond = Math.floor(now / 1_000)
    if (nowSecond !== second) {
      second = nowSecond
      start = new Date(second * 1_000).toISOString().slice(0, -4)
    }
    text = `${start}${DIGITS[now - second * 1_000]}Z`
    return text
  }
}

type Where = Pick<Access, 'service' | 'method' | 'host'> & { text: string }

/** The last text of each instance: most requests to it say the same. Bounded by its own size. */
const wheres = new Map<string, Where>()
const WHERES_MAX = 1_000

function whereOf({ service, instance, method, host }: Access): string {
  const known = wheres.get(instance)
  if (known?.service === service && known.method === method && known.host === host) {
    return known.text
  }
  const text =
    `","service":"${plain(service)}","instance":"${plain(instance)}` +
    `","method":"${plain(method)}","host":"${plain(host)}","path":"`
  if (known === undefined && wheres.size >= WHERES_MAX) wheres.clear()
  wheres.set(instance, { service, method, host, text })
  return text
}

let lastClient = ''
let lastPlainClient = ''

function plainClient(client: string): string {
  if (client === lastClient) return lastPlainClient
  lastPlainClient = plain(client)
  lastClient = client
  return lastPlainClient
}

const statuses: string[] = Array.from({ length: 600 }, (_, status) => statusText(status))

function statusOf(status: number): string {
  return statuses[status] ?? statusText(status)
}

function statusText(status: number): string {
  return `","status":${status},"bytes_in":`
}

const WELL = ',"ended_by":"","phase":"","request_id":"'
const WELL_ANEW = `,"retries":0,"reused":false${WELL}`
const WELL_REUSED = `,"retries":0,"reused":true${WELL}`

function outcomeOf({ retries, isReused, endedBy, phase }: Access): string {
  if (retries === 0 && endedBy === '' && phase === '') return isReused ? WELL_REUSED : WELL_ANEW
  return (
    `,"retries":${retries},"reused":${isReused},"ended_by":"${endedBy}","phase":"${phase}` +
    `","request_id":"`
  )
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
const SMALL = Array.from({ length: 1_000 }, (_, value) => String(value))

function ms(us: number): string {
  const whole = Math.round(us)
  const full = Math.floor(whole / 1_000)
  return (SMALL[full] ?? String(full)) + DECIMALS[whole - full * 1_000]
}
