// An origin that trusts nobody: it records the octets of each connection and answers a request only
// when it is exactly what RFC 9112 allows.

import { createServer, type Socket } from 'node:net'
import { listening } from '#test/ctld/balancer/rig.ts'
import { readStrictly, type StrictMessage, valuesIn } from './strict-reader.ts'

export type Origin = {
  port: number
  /** Whole requests since it was last asked, and what was wrong with what came. */
  take(): { messages: StrictMessage[]; faults: string[] }
  close(): void
}

// A line end, so that the next answer begins a line.
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\r\n'

export async function createOrigin(): Promise<Origin> {
  let messages: StrictMessage[] = []
  let faults: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let text = ''
    let answered = 0
    socket.setEncoding('latin1')
    socket.on('data', (piece) => {
      text += piece
      const reading = readStrictly(text)
      for (const message of reading.messages.slice(answered)) {
        messages.push(message)
        faults.push(...faultsOf(message))
        const isHead = message.method === 'HEAD'
        socket.write(isHead ? ANSWER.slice(0, -2) : ANSWER)
      }
      answered = reading.messages.length
      if (reading.end !== 'malformed') return
      faults.push(`malformed at the origin: ${reading.why}`)
      socket.destroy()
    })
    // A request that the data plane gives up ends with its connection.
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  const port = await listening(server)
  return {
    port,
    take() {
      const taken = { messages, faults }
      messages = []
      faults = []
      return taken
    },
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** What no request of ours may have, beside what no request at all may have. */
function faultsOf(message: StrictMessage): string[] {
  const faults: string[] = []
  if (message.minor !== '1') faults.push('a request in HTTP/1.0')
  if (!/^[/*]/.test(message.target)) faults.push(`a target in absolute-form: ${message.target}`)
  for (const name of ['te', 'trailer', 'proxy-connection', 'keep-alive', 'http2-settings']) {
    if (valuesIn(message, name).length > 0) faults.push(`${name} was passed on`)
  }
  for (const [name] of message.fields) {
    if (/^(content|transfer|x_tuc|x_forwarded)_/.test(name)) faults.push(`${name} was passed on`)
  }
  return faults
}
