// The checks of an instance as an order tells them to its agent: how each is made, and how many
// answers in a row decide. Which check stands for which was settled by the controller.

import { z } from 'zod'

export const STATUS_RANGES_MAX = 16
export const HEADERS_MAX = 16
export const BODY_PIECES_MAX = 8

const text = (max: number) => z.string().max(max)
const milliseconds = z.int().min(0).max(86_400_000)
const inRow = z.int().min(1).max(100)
const status = z.int().min(100).max(599)

const http = z.strictObject({
  kind: z.literal('http'),
  path: text(2_048),
  /** Statuses that pass, both ends included. */
  status: z
    .array(z.tuple([status, status]))
    .min(1)
    .max(STATUS_RANGES_MAX),
  /** Sent with the request. */
  headers: z.record(text(128), text(4_096)),
  /** The answer has each of these fields, and its value contains the text. */
  answer_headers: z.record(text(128), text(4_096)),
  /** The beginning of its body contains these texts, one behind the other. */
  answer_body: z.array(text(1_024)).max(BODY_PIECES_MAX),
})

const way = z.discriminatedUnion('kind', [
  http,
  z.strictObject({ kind: z.literal('tcp') }),
  /** Run in the program's folder with its environment; exit code 0 passes. */
  z.strictObject({ kind: z.literal('command'), argv: z.array(text(4_096)).min(1).max(256) }),
])
/** How an instance is asked. */
export type CheckWay = z.infer<typeof way>
export type HttpWay = z.infer<typeof http>

const check = z.strictObject({
  way,
  interval_ms: milliseconds,
  timeout_ms: milliseconds,
  rise: inRow,
  fall: inRow,
})
export type WireCheck = z.infer<typeof check>

export const wireChecks = z.strictObject({
  /** Without it a start is over when `readiness` passes. Without `fall` only time ends it. */
  startup: check.extend({ fall: inRow.optional() }).optional(),
  /** While it fails the instance gets no requests; it is never restarted for that. */
  readiness: check,
  /** When it fails the program is restarted. Without it only the program's end is noticed. */
  liveness: check.optional(),
})
export type WireChecks = z.infer<typeof wireChecks>
