// What the load process is told to do and what it found: plain data that crosses between processes.

import type { Summary } from '#bench/latencies.ts'

/** `new`: a connection for each request. `socket`: frames of a WebSocket. */
export type Kind = 'get' | 'post' | 'post-chunked' | 'new' | 'socket'

export type Job = {
  kind: Kind
  /** Bytes of an answer, or of a frame. */
  bytes: number
  port: number
  connections: number
  warmUpMs: number
  ms: number
  /** Whose processor time is taken, with all its children. */
  pid: number
  /** Requests per second by the clock; absent: as fast as they are answered. */
  rate?: number
}

export type Found = {
  /** Right answers in the measured time. */
  requests: number
  seconds: number
  /** Processor time of the proxy in the measured time. */
  cpuUs: number
  failed: number
  failures: Record<string, number>
  /** Only with a rate; from the moment that a request was due. */
  latencies?: Summary
}
