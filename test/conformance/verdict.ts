// Decides whether the data plane did right by a case: nothing malformed or extra at the origin,
// what is valid arrived with its meaning, what is invalid was refused.

import type { Case } from './corpora.ts'
import { served, stricter } from './exceptions.ts'
import { readStrictly, type StrictMessage, valuesIn } from './strict-reader.ts'

export type Seen = {
  messages: StrictMessage[]
  faults: string[]
  /** Of the answers that the client got, interim ones left out. */
  statuses: number[]
  isClosed: boolean
}

export type Verdict = { outcome: 'passed' | 'refused' | 'wrong'; why: string }

/** What ends at the proxy, and what it says itself. */
const NOT_PASSED =
  /^(connection|keep-alive|te|trailer|upgrade|proxy-.*|expect|transfer-encoding|content-length|via|forwarded|x-forwarded-.*|x-request-id|x-real-ip|x-tuc-.*|http2-settings|host)$/

export function verdictOn(one: Case, seen: Seen): Verdict {
  const { messages, faults, statuses, isClosed } = seen
  if (faults.length > 0) return wrong(faults.join('; '))
  if (messages.length > one.forwardedMax) return wrong(`${messages.length} requests came of it`)
  const sent = readStrictly(one.raw)
  for (const [index, message] of messages.entries()) {
    const same = sent.messages[index]
    if (same === undefined) return wrong(`${message.method} ${message.target} was never sent`)
    const difference = differenceOf(same, message)
    if (difference !== '') return wrong(difference)
  }
  const isRefused = statuses.some((status) => status >= 400)
  if (isRefused && !isClosed) return wrong('refused, and the connection stays open')
  // Of a request that is not complete nothing whole can arrive; it is waited for.
  const isAll = sent.end !== 'malformed' && messages.length === sent.messages.length
  const outcome = isAll && !isRefused ? 'passed' : 'refused'
  if (one.want === 'valid' && outcome === 'refused') {
    const said = statuses.join() || 'no answer'
    return excused(outcome, stricter[one.id], `valid, and not served (${said}) ${sent.why}`)
  }
  // What comes behind the last request is not read, and so it needs no refusal.
  if (one.want === 'invalid' && outcome === 'passed' && sent.end === 'empty') {
    return excused(outcome, served[one.id], 'invalid, and served')
  }
  return { outcome, why: '' }
}

function excused(outcome: Verdict['outcome'], reason: string | undefined, why: string): Verdict {
  return reason === undefined ? wrong(why) : { outcome, why: reason }
}

function differenceOf(sent: StrictMessage, came: StrictMessage): string {
  if (sent.method !== came.method) return `${sent.method} became ${came.method}`
  const target = originForm(sent)
  if (target !== came.target) return `${target} became ${came.target}`
  if (sent.body !== came.body) return `another body: ${JSON.stringify(came.body.slice(0, 80))}`
  const said = valuesIn(sent, 'host')
  if (said.length === 1 && said[0]?.toLowerCase() !== valuesIn(came, 'host')[0]?.toLowerCase()) {
    return `another Host: ${valuesIn(came, 'host').join()}`
  }
  const ended = valuesIn(sent, 'connection')
    .join()
    .toLowerCase()
    .split(/[ \t]*,[ \t]*/)
  for (const [name, value] of sent.fields) {
    if (NOT_PASSED.test(name) || name.includes('_') || ended.includes(name)) continue
    if (!valuesIn(came, name).includes(value)) return `the field ${name} was lost`
  }
  return ''
}

function originForm({ method, target }: StrictMessage): string {
  const rest = /^https?:\/\/[^/?]*(.*)$/i.exec(target)?.[1]
  if (rest === undefined) return target
  if (rest === '' && method === 'OPTIONS') return '*'
  return rest.startsWith('/') ? rest : `/${rest}`
}

function wrong(why: string): Verdict {
  return { outcome: 'wrong', why }
}
