// What a program of the data plane and its successor say to each other while the one hands over to
// the other. Both may be of different versions: what comes is checked, and read leniently.

import { z } from 'zod'
import type { ListeningPort } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { keptTableSchema } from './kept-table.ts'
import { type FromDataPlane, hearController, hearDataPlane, type ToDataPlane } from './protocol.ts'
import type { KeptTable } from './supervisor.ts'

export type ToSuccessor =
  /** First: the listening sockets that it was born with, and the table to serve by. */
  | { kind: 'inherit'; sockets: ListeningPort[]; table: KeptTable | null }
  /** Folder and control socket are free for it. `routed`: what may still be in flight here. */
  | { kind: 'yours'; table: KeptTable | null; routed: string[] }
  /** What would be told to a controller. */
  | { kind: 'said'; line: FromDataPlane }

/** `ready`: it serves. Then each table, as from a controller. */
export type ToPredecessor = { kind: 'ready' } | { kind: 'feed'; line: ToDataPlane }

const toSuccessor = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('inherit'),
    sockets: z.array(z.object({ port: z.int(), fd: z.int() })),
    table: keptTableSchema.nullable(),
  }),
  z.object({
    kind: z.literal('yours'),
    table: keptTableSchema.nullable(),
    routed: z.array(z.string()),
  }),
])

/** undefined: it is not for us, or of a version that says more than we know. */
export function hearPredecessor(message: unknown): ToSuccessor | undefined {
  const line = lineOf(message, 'said')
  if (line !== undefined) {
    const heard = hearDataPlane(line)
    return 'message' in heard ? { kind: 'said', line: heard.message } : undefined
  }
  return toSuccessor.safeParse(message).data
}

export function hearSuccessor(message: unknown): ToPredecessor | undefined {
  const line = lineOf(message, 'feed')
  if (line !== undefined) {
    const heard = hearController(line)
    return 'message' in heard ? { kind: 'feed', line: heard.message } : undefined
  }
  return z.object({ kind: z.literal('ready') }).safeParse(message).data
}

function lineOf(message: unknown, kind: string): string | undefined {
  const { data } = z.object({ kind: z.literal(kind), line: z.unknown() }).safeParse(message)
  return data === undefined ? undefined : JSON.stringify(data.line)
}
