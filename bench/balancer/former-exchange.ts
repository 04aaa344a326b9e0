// One request's life in the engine that was before: it is undici's handler itself and writes what
// comes on the raw response. Retries, choosing by weight and idle limits are left away.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { request as send } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Dispatcher, Pool } from 'undici'

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

type Settled = (failed: Error | null) => void

export class FormerExchange implements Dispatcher.DispatchHandler {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #path: string
  readonly #pool: Pool
  #settled: Settled = () => {}
  #status = 0
  #headers: string[] = []

  constructor(request: IncomingMessage, response: ServerResponse, pool: Pool) {
    this.#request = request
    this.#response = response
    this.#path = request.url ?? '/'
    this.#pool = pool
  }

  start(settled: Settled): void {
    this.#settled = settled
    const { method, headers } = this.#request
    const hasBody = 'content-length' in headers || 'transfer-encoding' in headers
    this.#pool.dispatch(
      {
        path: this.#path,
        method: method as Dispatcher.HttpMethod,
        headers: toProgram(this.#request),
        body: hasBody ? this.#request : null,
        bodyTimeout: 0,
      },
      this,
    )
  }

  deliver(): void {
    this.#response.writeHead(this.#status, this.#headers)
  }

  refuse(): void {
    this.#response.writeHead(502).end()
  }

  // Without it undici takes the handler for one of its former kind.
  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status < 200) return
    this.#status = status
    this.#headers = toClient(headers)
    this.#settled(null)
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#response.write(piece) || this.#response.destroyed) return
    controller.pause()
    this.#response.once('drain', () => controller.resume())
  }

  onResponseEnd(): void {
    this.#response.end()
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#status === 0) this.#settled(error)
    else this.#response.destroy()
  }
}

/** A WebSocket: the handshake goes to the program, and its 101 makes a tunnel of two sockets. */
export function openTunnel(request: IncomingMessage, client: Duplex, port: number): void {
  const headers = ['Connection', 'Upgrade', 'Upgrade', 'websocket', ...toProgram(request)]
  const path = request.url ?? '/'
  const handshake = send({ host: '127.0.0.1', port, path, headers, agent: false })
  client.on('error', () => client.destroy())
  handshake.once('error', () => client.destroy())
  handshake.once('response', () => client.destroy())
  handshake.once('upgrade', (answer, socket) => {
    const fields = [...toClient(answer.headers), 'Connection', 'Upgrade', 'Upgrade', 'websocket']
    client.write(`HTTP/1.1 101 Switching Protocols\r\n${linesOf(fields)}\r\n`)
    socket.on('error', () => client.destroy())
    socket.once('close', () => client.destroy())
    client.once('close', () => socket.destroy())
    socket.pipe(client).pipe(socket)
  })
  handshake.end()
}

function toProgram({ rawHeaders, headers, socket }: IncomingMessage): string[] {
  const passed: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = [rawHeaders[at], rawHeaders[at + 1]]
    if (!HOP_BY_HOP.has(name.toLowerCase())) passed.push(name, value)
  }
  const fields = ['X-Forwarded-Host', headers.host ?? '', 'X-Forwarded-For']
  passed.push(...fields, socket.remoteAddress ?? '', 'X-Forwarded-Proto', 'http')
  return passed
}

function toClient(headers: IncomingHttpHeaders): string[] {
  const passed: string[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (HOP_BY_HOP.has(name)) continue
    for (const each of Array.isArray(value) ? value : [value ?? '']) passed.push(name, each)
  }
  return passed
}

function linesOf(fields: readonly string[]): string {
  let lines = ''
  for (let at = 0; at < fields.length; at += 2) lines += `${fields[at]}: ${fields[at + 1]}\r\n`
  return lines
}
