// A WebSocket's life: the handshake goes to an instance as it came, and only the instance's own
// 101 makes a tunnel of the two sockets. The proxy plug-in's way, to accept first and connect
// then, cannot try another instance, hides a refusal and holds what one side is too slow to take.

import type { IncomingMessage } from 'node:http'
import { type ClientRequest as Handshake, ServerResponse, request as send } from 'node:http'
import type { Duplex } from 'node:stream'
import { answerProblem } from './answer.io.ts'
import type { Arrival, Engine } from './exchange.io.ts'
import { judgeFailure, lastWord, type Verdict } from './failure.ts'
import { originOf, requestIdOf, toClient, toProgram } from './headers.ts'
import type { InstancePool } from './pool.io.ts'
import type { Upstream } from './upstreams.ts'

const PROBE_IDLE_MS = 30_000

export type Tunnels = {
  open(arrival: Omit<Arrival, 'response'>, socket: Duplex, head: Buffer): void
  /** Ends those that are open. */
  close(): void
}

export function createTunnels(engine: Engine): Tunnels {
  const sockets = new Set<Duplex>()
  return {
    open(arrival, socket, head) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      new Tunnel(engine, arrival, socket, head).try()
    },
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

class Tunnel {
  readonly #engine: Engine
  readonly #arrival: Omit<Arrival, 'response'>
  readonly #socket: Duplex
  readonly #head: Buffer
  readonly #requestId: string
  readonly #headers: string[]
  readonly #tried = new Set<Upstream<InstancePool>>()
  #triesSent = 0
  #triesUnsent = 0
  #handshake: Handshake | undefined

  constructor(engine: Engine, arrival: Omit<Arrival, 'response'>, socket: Duplex, head: Buffer) {
    const { request, strip } = arrival
    this.#engine = engine
    this.#arrival = arrival
    this.#socket = socket
    this.#head = head
    this.#requestId = requestIdOf(request.headers, engine.newRequestId)
    const origin = originOf(request.headers, request.socket.remoteAddress ?? '', engine.isTrusted)
    this.#headers = [
      'Connection',
      'Upgrade',
      'Upgrade',
      'websocket',
      ...toProgram(request.rawHeaders, origin, { id: this.#requestId, strip }),
    ]
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#handshake?.destroy())
  }

  try(): void {
    const { lane, read, strip } = this.#arrival
    const { upstreams } = this.#engine
    const now = this.#tried.size === 0 ? lane : (upstreams.laneOf(lane.service) ?? lane)
    const upstream = upstreams.claim(now, this.#tried)
    if (upstream === undefined) {
      this.#refuse(lastWord({ triesSent: this.#triesSent }))
      return
    }
    this.#tried.add(upstream)
    this.#headers[this.#headers.length - 1] = upstream.instance
    const path = read.target.slice(strip.length)
    const handshake = send({
      host: upstream.target.host,
      port: upstream.target.port,
      path: path.startsWith('/') ? path : `/${path}`,
      headers: this.#headers,
      agent: false,
    })
    this.#handshake = handshake
    this.#await(handshake, upstream, lane)
    handshake.end()
  }

  #await(handshake: Handshake, upstream: Upstream<InstancePool>, limits: Arrival['lane']): void {
    const { clock, upstreams } = this.#engine
    let isConnected = false
    let isLate = false
    let isOver = false
    const late = (ms: number) =>
      clock.after(ms, () => {
        isLate = true
        handshake.destroy(new Error(`no answer within ${ms} ms`))
      })
    let cancel = late(limits.connectMs)
    const over = () => {
      cancel()
      if (isOver) return
      isOver = true
      upstreams.release(upstream)
    }
    handshake.once('socket', (socket) => {
      socket.once('connect', () => {
        isConnected = true
        cancel()
        cancel = late(limits.responseMs)
      })
    })
    handshake.once('upgrade', (answer, socket, head) => {
      cancel()
      upstreams.succeeded(upstream)
      socket.once('close', over)
      this.#join(answer, socket, { head, instance: upstream.instance })
    })
    handshake.once('response', (answer) => {
      cancel()
      upstreams.succeeded(upstream)
      answer.once('close', over)
      this.#passRefusal(answer, upstream.instance)
    })
    handshake.once('error', (error) => {
      over()
      if (!this.#socket.destroyed) this.#failed(upstream, error, isConnected, isLate)
    })
  }

  #failed(upstream: Upstream<InstancePool>, error: Error, wasSent: boolean, isLate: boolean): void {
    const { upstreams } = this.#engine
    if (wasSent) {
      this.#triesSent += 1
      upstreams.lost(upstream, error.message)
    } else {
      this.#triesUnsent += 1
      upstreams.unreachable(upstream, error.message)
    }
    const verdict = judgeFailure({
      wasSent,
      kind: wasSent && isLate ? 'headers_timeout' : kindOf(error),
      isRepeatable: true,
      triesSent: this.#triesSent,
      triesUnsent: this.#triesUnsent,
    })
    if (verdict === 'another') this.try()
    else this.#refuse(verdict)
  }

  #join(
    answer: IncomingMessage,
    socket: Duplex,
    { head, instance }: { head: Buffer; instance: string },
  ): void {
    const client = this.#socket
    const headers = toClient(answer.headers, { requestId: this.#requestId, instance })
    headers.push('Connection', 'Upgrade', 'Upgrade', answer.headers.upgrade ?? 'websocket')
    client.write(`HTTP/1.1 101 Switching Protocols\r\n${linesOf(headers)}\r\n`)
    for (const end of [client, socket]) {
      if ('setKeepAlive' in end && typeof end.setKeepAlive === 'function') {
        end.setKeepAlive(true, PROBE_IDLE_MS)
      }
    }
    client.write(head)
    socket.write(this.#head)
    socket.on('error', () => client.destroy())
    socket.once('close', () => client.destroy())
    client.once('close', () => socket.destroy())
    socket.pipe(client).pipe(socket)
  }

  #passRefusal(answer: IncomingMessage, instance: string): void {
    const response = this.#response()
    const headers = toClient(answer.headers, { requestId: this.#requestId, instance })
    response.writeHead(answer.statusCode ?? 502, [...headers, 'Connection', 'close'])
    answer.on('error', () => response.destroy())
    answer.pipe(response)
  }

  #refuse(verdict: Exclude<Verdict, 'another'>): void {
    answerProblem(this.#response(), { ...verdict, requestId: this.#requestId, close: true })
  }

  #response(): ServerResponse {
    return responseOn(this.#arrival.request, this.#socket)
  }
}

/** An ordinary answer to a handshake; the connection ends with it. */
export function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request)
  response.assignSocket(socket as Parameters<typeof response.assignSocket>[0])
  response.once('finish', () => socket.end())
  return response
}

function kindOf(error: Error): 'lost' | 'invalid' {
  return 'code' in error && String(error.code).startsWith('HPE_') ? 'invalid' : 'lost'
}

// The parser that read these headers has refused line breaks in them.
function linesOf(headers: readonly string[]): string {
  let lines = ''
  for (let at = 0; at < headers.length; at += 2) lines += `${headers[at]}: ${headers[at + 1]}\r\n`
  return lines
}
