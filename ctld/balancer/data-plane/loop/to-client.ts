// Decides which head a client gets for an instance's answer: what belongs to the connection to the
// instance stays there, what is ours is said by us, and the framing fits what is sent.

import { setCookie, tokenOf } from '#ctld/balancer/data-plane/choose/sticky.ts'
import { FIELD } from '#ctld/balancer/data-plane/http1/field-kinds.ts'
import type { ResponseHead } from '#ctld/balancer/data-plane/http1/response-head.ts'
import { passedFields, passing } from './passed-fields.ts'
import { STATUS_WORDS } from './status-words.ts'

const passes = passing(
  FIELD.setCookie,
  FIELD.date,
  FIELD.server,
  FIELD.via,
  FIELD.cookie,
  FIELD.host,
  FIELD.forwarded,
  FIELD.xRealIp,
)

export type ToClient = {
  requestId: string
  instance: string
  /** `Content-Length: 5\r\n`, `Transfer-Encoding: chunked\r\n`, or ''. */
  framing: string
  /** `Connection: close\r\n` or `keep-alive`, or '' where the version says it already. */
  connection: string
  /** A `Set-Cookie` line of ours with its end, or ''. */
  cookie: string
}

export function headToClient(head: ResponseHead, to: ToClient): string {
  const reason = head.phrase === '' ? (STATUS_WORDS[head.status] ?? '') : head.phrase
  return (
    `HTTP/1.1 ${head.status} ${reason}\r\n${passedFields(head, passes, head.named)}${to.cookie}` +
    `X-Request-Id: ${to.requestId}\r\nX-Tuc-Inst: ${to.instance}\r\n` +
    `${to.framing}${to.connection}\r\n`
  )
}

/** An interim answer (103 and the like) as it is passed on: it has no body and no framing. */
export function interimToClient(head: ResponseHead): string {
  const reason = head.phrase === '' ? (STATUS_WORDS[head.status] ?? '') : head.phrase
  return `HTTP/1.1 ${head.status} ${reason}\r\n${passedFields(head, passes, head.named)}\r\n`
}

/** The instance agreed to another protocol: what it says of it is for the client to read. */
export function switchToClient(
  head: ResponseHead,
  to: Pick<ToClient, 'requestId' | 'instance' | 'cookie'>,
): string {
  return (
    `HTTP/1.1 101 Switching Protocols\r\n${passedFields(head, passes, head.named)}${to.cookie}` +
    `Connection: upgrade\r\nUpgrade: ${head.upgrade}\r\n` +
    `X-Request-Id: ${to.requestId}\r\nX-Tuc-Inst: ${to.instance}\r\n\r\n`
  )
}

/** What leads a client back to its instance, with its line end; '' where it has that already. */
export function cookieLine(
  name: string | undefined,
  instance: string,
  has: string | undefined,
): string {
  if (name === undefined) return ''
  const token = tokenOf(instance)
  return token === has ? '' : `Set-Cookie: ${setCookie(name, token)}\r\n`
}
