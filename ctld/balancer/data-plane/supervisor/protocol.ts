// What the controller and the data plane say to each other: one JSON object in a line. Both check
// what they are sent. Keys that one of them does not know are left out and not refused, because
// for the length of an upgrade the two are of different versions.

import { z } from 'zod'
import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import type { Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { trustIn } from '#ctld/balancer/data-plane/trust.ts'
import type { Observation, Route } from '#ctld/ports.ts'

export const PROTOCOL = 1
export const LINE_BYTES_MAX = 64 * 1024 * 1024
/** In the data plane's folder, which is the working folder of its program: paths are short so. */
export const SOCKET_NAME = 'control.sock'
/** An instance has one target; those that still have requests in flight need room beside them. */
const TARGETS_MAX = 8_192

/** Of the controller, and of the successor during an upgrade. */
export type ToDataPlane =
  | { kind: 'table'; version: number; settings: Settings; routes: Route[] }
  | { kind: 'counters'; id: number }
  /** Ends in order: no more connections, requests under way for at most `graceMs`. */
  | { kind: 'stop'; graceMs: number }
  /** Hands over to a program that is started by these words. */
  | { kind: 'upgrade'; command: string[] }

export type PortFailure = { port: number; error: string }

export type FromDataPlane =
  | {
      kind: 'hello'
      protocol: number
      program: string
      pid: number
      /** Of whichever controller spoke last; -1: there is no table. */
      tableVersion: number
      /** Instances in the table, and those that left it and have requests in flight. */
      routed: string[]
    }
  /**
   * Every loop that lives serves by it; older tables count as acked too. `notKept`: why it is not
   * on disk. `failures`: ports that could not be opened.
   */
  | { kind: 'ack'; version: number; failures: PortFailure[]; notKept?: string | undefined }
  /** The table was not taken; the former one stays in force. */
  | { kind: 'refused'; version: number; error: string }
  /**
   * It is not in the table and has no request in flight. `version`: of the last table that came on
   * this connection, 0 for none; a later one may have it again.
   */
  | { kind: 'drained'; instance: string; version: number }
  | { kind: 'observed'; observation: Observation }
  | { kind: 'counters'; id: number; counters: DataPlaneCounters }
  | { kind: 'counters_failed'; id: number; error: string }
  /** The last words before this program closes the connection on purpose. */
  | { kind: 'bye'; why: 'upgrade' | 'stop' | 'replaced' }

const count = z.int().min(0)
const text = z.string().max(4_096)
const port = z.int().min(0).max(65_535)
const name = z.string().min(1).max(256)

export const settingsSchema: z.ZodType<Settings> = z.object({
  host: name,
  port,
  threads: count.max(64),
  trustedProxies: z.array(name).max(64).refine(isTrustList, 'an address or a network is no such'),
  accessLog: text.nullable(),
  connectionsMax: count,
  connectionsPerIp: count,
})

const target = z.object({
  instance: name,
  node: name,
  host: name,
  port,
  weight: z.number().positive(),
})

const route = z.object({
  service: name,
  protocol: z.enum(['http', 'tcp']),
  hosts: z.array(name),
  paths: z.array(text),
  publicPort: port.exactOptional(),
  proxyProtocol: z.enum(['none', 'v1', 'v2']),
  balance: z.enum([
    'weighted_round_robin',
    'round_robin',
    'least_request',
    'least_loaded',
    'p2c',
    'hash',
  ]),
  hash: z
    .union([
      z.object({ by: z.literal('ip') }),
      z.object({ by: z.enum(['header', 'cookie']), name }),
    ])
    .exactOptional(),
  stickyCookie: name.exactOptional(),
  slowStartMs: count,
  inFlightMax: count,
  queueMax: count,
  queueMs: count,
  holdMs: count,
  traffic: z.enum(['open', 'paused', 'maintenance']),
  pauseMs: count,
  maintenancePage: z.string().exactOptional(),
  connectMs: count,
  responseMs: count,
  idleMs: count,
  bodyMax: count,
  pipelining: z.boolean(),
  targets: z.array(target),
})

export const routesSchema: z.ZodType<Route[]> = z
  .array(route)
  .refine(
    (routes) => routes.reduce((sum, { targets }) => sum + targets.length, 0) <= TARGETS_MAX,
    `the table has more than ${TARGETS_MAX} instances`,
  )

const observation: z.ZodType<Observation> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('drained'), instance: name }),
  z.object({ kind: z.literal('routed'), instance: name }),
  z.object({ kind: z.literal('unreachable'), instance: name, error: text }),
  z.object({ kind: z.literal('listener_failed'), port, error: text }),
  z.object({ kind: z.literal('loop_failed'), loop: count, error: text }),
  z.object({ kind: z.literal('data_plane_failed'), error: text }),
])

/** One that no loop can read would end each of them, and again after each start. */
function isTrustList(list: readonly string[]): boolean {
  try {
    trustIn(list)
    return true
  } catch {
    return false
  }
}

/** Only its frame: what it counts by service is a tree of numbers that is passed on as it is. */
const counters = z.looseObject({
  startedAt: z.number(),
  tableVersion: z.number(),
  loops: count,
  connections: z.looseObject({ accepted: count, open: z.number(), refused: count }),
  rejected: z.record(z.string(), z.number()),
  services: z.record(z.string(), z.looseObject({ requests: count })),
})

const toDataPlane = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('table'),
    version: count,
    settings: settingsSchema,
    routes: routesSchema,
  }),
  z.object({ kind: z.literal('counters'), id: count }),
  z.object({ kind: z.literal('stop'), graceMs: count }),
  z.object({ kind: z.literal('upgrade'), command: z.array(text).min(2).max(64) }),
])

const failure = z.object({ port, error: text })

const fromDataPlane = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('hello'),
    protocol: count,
    program: name,
    pid: count,
    tableVersion: z.int(),
    routed: z.array(name),
  }),
  z.object({
    kind: z.literal('ack'),
    version: count,
    failures: z.array(failure),
    notKept: text.optional(),
  }),
  z.object({ kind: z.literal('refused'), version: count, error: text }),
  z.object({ kind: z.literal('drained'), instance: name, version: count }),
  z.object({ kind: z.literal('observed'), observation }),
  z.object({ kind: z.literal('counters'), id: count, counters }),
  z.object({ kind: z.literal('counters_failed'), id: count, error: text }),
  z.object({ kind: z.literal('bye'), why: z.enum(['upgrade', 'stop', 'replaced']) }),
])

export type Heard<T> = { message: T } | { error: string }

export function hearController(line: string): Heard<ToDataPlane> {
  return hear(line, toDataPlane)
}

export function hearDataPlane(line: string): Heard<FromDataPlane> {
  return hear(line, fromDataPlane as unknown as z.ZodType<FromDataPlane>)
}

function hear<T>(line: string, schema: z.ZodType<T>): Heard<T> {
  const read = parsed(line)
  if ('error' in read) return read
  const { success, data, error } = schema.safeParse(read.value)
  return success ? { message: data } : { error: firstFault(error) }
}

function parsed(line: string): { value: unknown } | { error: string } {
  try {
    return { value: JSON.parse(line) }
  } catch {
    return { error: 'it is not JSON' }
  }
}

/** One is enough: it is a fault of a program and no user's. */
export function firstFault({ issues }: z.ZodError): string {
  const [issue] = issues
  return `${issue?.path.join('.') || 'it'}: ${issue?.message}`
}
