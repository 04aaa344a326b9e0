// Decides whose a request is, or which answer it gets at once because it is nobody's.

import type { RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import { findRoute } from '#ctld/balancer/route.ts'
import { type Problem, problemAnswer } from './answers.ts'
import { type Asked, askedOf } from './ask.ts'
import type { Engine } from './engine.ts'
import { connectionLine } from './reply.ts'
import { type Peer, requestIdOf } from './to-instance.ts'
import type { Lane } from './upstream.ts'

export type Received =
  | { lane: Lane; asked: Asked }
  /** `owesBody`: the rest of the request is still coming, and nobody wants it. */
  | { text: string; isKept: boolean; owesBody: boolean }

export function receive(engine: Engine, head: RequestHead, peer: Peer, port: number): Received {
  const requestId = requestIdOf(head, engine.newRequestId)
  const found = findRoute(engine.index, head.host, head.path, port)
  const lane = found === undefined ? undefined : engine.registry.lane(found.route.service)
  if (found === undefined || lane === undefined) return unknown(engine, head, peer, requestId)
  const asked = askedOf(head, peer, { route: lane.route, strip: found.strip, requestId })
  return { lane, asked }
}

/** The answer to what is no request; the connection ends with it. */
export function refusal({ journal }: Engine, peer: Peer, problem: Problem): string {
  journal.rejected(peer.address, problem.status, undefined)
  const connection = connectionLine(false, 1)
  return problemAnswer(problem, { requestId: '', isHead: false, connection })
}

function unknown(engine: Engine, head: RequestHead, peer: Peer, requestId: string): Received {
  const detail = 'no service is known by this host or path'
  const owesBody = head.bodyLength !== 0
  const isKept = head.keepAlive && !owesBody && !engine.isDraining
  const connection = connectionLine(isKept, head.minor)
  const to = { requestId, isHead: head.method === 'HEAD', connection }
  engine.journal.rejected(peer.address, 404, head)
  const text = problemAnswer({ status: 404, title: 'service not found', detail }, to)
  return { text, isKept, owesBody }
}
