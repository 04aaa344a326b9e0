// Where every request comes in, from whichever port: answers those that are refused, sends the
// others on their way, and knows how many are under way.

import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { RouteIndex } from '#ctld/balancer/route.ts'
import type { Clock, Log } from '#shared/ports.ts'
import { admit } from './admit.ts'
import { answerProblem, type Problem } from './answer.io.ts'
import { type Arrival, type Engine, Exchange } from './exchange.io.ts'
import { requestIdOf } from './headers.ts'
import type { ClientRequest, Door, Serve } from './listener.io.ts'
import type { InstancePool } from './pool.io.ts'
import { METHODS_FORWARDED } from './read-head.ts'
import { responseOn, type Tunnels } from './tunnel.io.ts'
import type { Lane } from './upstreams.ts'

export type Reception = {
  serve: Serve
  /** Resolves when no request is under way, WebSockets aside, at the latest after `graceMs`. */
  finished(graceMs: number): Promise<void>
}

export function createReception(ports: {
  engine: Engine
  clock: Clock
  log: Log
  index: () => RouteIndex<Lane<InstancePool>>
  forward: (request: ClientRequest, response: ServerResponse, exchange: Exchange) => void
  tunnels: Tunnels
}): Reception {
  const { engine, clock, log, index, forward, tunnels } = ports
  /** Connections on which a request had two meanings: what follows it there has none. */
  const refused = new WeakSet<Duplex>()
  let underWay = 0
  let onIdle: () => void = () => {}

  function ended(): void {
    underWay -= 1
    if (underWay === 0) onIdle()
  }

  function passageOf(
    request: ClientRequest,
    door: Door,
  ): { arrival: Omit<Arrival, 'response'> } | { problem: Problem } {
    const { method = '', url = '', httpVersion, rawHeaders } = request
    const admission = admit({ method, url, httpVersion, rawHeaders }, index(), door.port)
    if (admission.kind === 'admitted') {
      const { read, route, strip } = admission
      return { arrival: { request, door, read, lane: route, strip } }
    }
    const requestId = requestIdOf(request.headers, engine.newRequestId)
    const close = door.isClosing || admission.status === 400
    return { problem: { ...admission, requestId, close } }
  }

  const serve: Serve = {
    request(request, response, door) {
      if (refused.has(request.socket)) return
      underWay += 1
      response.once('close', ended)
      if (response.socket === null) watchPipelined(request, response)
      const passage = passageOf(request, door)
      if ('arrival' in passage) {
        forward(request, response, new Exchange(engine, { ...passage.arrival, response }))
        return
      }
      if (passage.problem.status === 400) refused.add(request.socket)
      answerProblem(response, passage.problem)
    },
    upgrade(request, socket, head, door) {
      const passage = passageOf(request, door)
      if ('arrival' in passage) {
        tunnels.open(passage.arrival, socket, head)
        return
      }
      socket.on('error', () => socket.destroy())
      answerProblem(responseOn(request, socket), { ...passage.problem, close: true })
    },
    connect(socket) {
      socket.on('error', () => socket.destroy())
      socket.end(
        `HTTP/1.1 405 Method Not Allowed\r\nAllow: ${METHODS_FORWARDED}\r\n` +
          'Content-Length: 0\r\nConnection: close\r\n\r\n',
      )
    },
    fault(error) {
      log.error({ error: error.message }, 'the balancer could not take a connection')
    },
  }

  return {
    serve,
    finished(graceMs) {
      if (underWay === 0) return Promise.resolve()
      return new Promise((resolve) => {
        const cancel = clock.after(graceMs, resolve)
        onIdle = () => {
          cancel()
          resolve()
        }
      })
    },
  }
}

// An answer that waits its turn behind another on the same connection has no socket yet, and Node
// does not tell it when the connection is lost.
function watchPipelined({ socket }: ClientRequest, response: ServerResponse): void {
  const lost = () => void response.emit('close')
  socket.setMaxListeners(0)
  socket.once('close', lost)
  response.once('close', () => socket.off('close', lost))
}
