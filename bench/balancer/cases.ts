// What is measured, and how much of it: the cases, and the times of a whole and of a quick run.

import type { Kind } from './load/job.ts'
import { LARGE_BYTES, MEDIUM_BYTES, SMALL_BYTES } from './load/messages.ts'

export type Case = {
  name: string
  title: string
  kind: Kind
  bytes: number
  connections: number
  accessLog: boolean
  /** By the clock, at a share of what the slowest of the fast ones can do. */
  isRate: boolean
  /** An aim hangs on it: a quick run measures it more than once. */
  hasAim: boolean
}

export type Times = { rounds: number; roundsWithoutAim: number; warmUpMs: number; ms: number }

export const WHOLE: Times = { rounds: 5, roundsWithoutAim: 5, warmUpMs: 500, ms: 2_000 }
export const QUICK: Times = { rounds: 3, roundsWithoutAim: 1, warmUpMs: 100, ms: 300 }
/** A quick run that is late begins no other round. */
export const QUICK_BEGINS_MAX_MS = 43_000

/** Of the requests per second that a proxy can do with 64 connections. */
export const RATE_SHARE = 0.6
export const CALIBRATION = 'keepalive-64'

const get = { kind: 'get', bytes: SMALL_BYTES, accessLog: false, isRate: false } as const

export const cases: readonly Case[] = [
  { ...get, name: 'keepalive-8', title: '100 B, 8 connections', connections: 8, hasAim: true },
  { ...get, name: CALIBRATION, title: '100 B, 64 connections', connections: 64, hasAim: true },
  {
    ...get,
    name: 'keepalive-256',
    title: '100 B, 256 connections',
    connections: 256,
    hasAim: true,
  },
  {
    ...get,
    name: 'access-log',
    title: '100 B, 64 connections, access log',
    connections: 64,
    accessLog: true,
    hasAim: false,
  },
  {
    ...get,
    name: 'body-16k',
    title: '16 KiB, 64 connections',
    bytes: MEDIUM_BYTES,
    connections: 64,
    hasAim: false,
  },
  {
    ...get,
    name: 'body-1m',
    title: '1 MiB, 8 connections',
    bytes: LARGE_BYTES,
    connections: 8,
    hasAim: true,
  },
  {
    ...get,
    name: 'new-connection',
    title: '100 B, a new connection each, 64 at a time',
    kind: 'new',
    connections: 64,
    hasAim: true,
  },
  {
    ...get,
    name: 'post',
    title: 'POST of 4 KiB, 64 connections',
    kind: 'post',
    connections: 64,
    hasAim: false,
  },
  {
    ...get,
    name: 'websocket',
    title: 'WebSocket, echo of 100 B, 64 connections',
    kind: 'socket',
    connections: 64,
    hasAim: false,
  },
  {
    ...get,
    name: 'rate',
    title: '100 B, 64 connections, by the clock',
    connections: 64,
    isRate: true,
    hasAim: false,
  },
]
