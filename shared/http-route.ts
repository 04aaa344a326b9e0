// A route of a daemon's API as data: from one table come the handlers' checks, the answer to a
// wrong method, the OpenAPI document and the tests that walk it. Handlers know nothing of HTTP
// beyond this file: they take checked input and return an answer.

import type { Readable } from 'node:stream'
import type { z } from 'zod'
import { jsonDocument, readJson } from './document.ts'
import { type ErrorCode, type Problem, TucanoError } from './errors.ts'
import { checkDocument } from './schema.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'

/** `anyone`: without a token. Otherwise the roles that may call it. */
export type Access = 'anyone' | readonly string[]

export const ARCHIVE_TYPES = ['application/gzip', 'application/x-gzip', 'application/octet-stream']

/** What a body is: JSON checked by a schema, an archive that is streamed, or none at all. */
export type BodyKind = 'json' | 'archive' | 'none'

export type Input<P = unknown, Q = unknown, B = unknown> = {
  params: P
  query: Q
  body: B
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** The peer's address; an IPv4 address that arrived as IPv6 is written as IPv4. */
  peer: string
  requestId: string
  /** Aborted when the client goes away or the daemon stops. */
  signal: AbortSignal
}

export type Answer = {
  status: number
  headers?: Record<string, string>
  body?: unknown
  stream?: Readable
}

/** Where a passed-through request goes: `path` begins with a slash and has no query. */
export type Forward = { origin: string; path: string; peer: string }

export type AnswerSpec = {
  description: string
  schema?: z.ZodType
  /** Absent: application/json where there is a schema. */
  type?: string
  /** A second type that the client may ask for. */
  alsoType?: string
  headers?: readonly string[]
}

export type Route = {
  method: Method
  /** With `:name` for a parameter and `*` for a rest. */
  path: string
  summary: string
  access: Access
  params?: z.ZodType
  query?: z.ZodType
  bodyKind: BodyKind
  body?: z.ZodType
  /** What the document says of a body that its handler checks beyond `body`. */
  bodyShape?: z.ZodType
  bodyBytesMax?: number
  headers?: readonly string[]
  answers: Readonly<Record<number, AnswerSpec>>
  /** Answered before the daemon has started, too. */
  always?: boolean
  /** A call that is part of the daemons' ordinary talk is not written to the audit log. */
  quiet?: boolean
  /** Its answer may go on for ever without a byte, such as a log that is followed. */
  isEndless?: boolean
  handle?: (input: Input) => Promise<Answer> | Answer
  forward?: (input: Input) => Forward
}

type Definition<P, Q, B> = Omit<
  Route,
  'params' | 'query' | 'body' | 'bodyKind' | 'handle' | 'forward'
> & {
  params?: z.ZodType<P>
  query?: z.ZodType<Q>
  body?: z.ZodType<B>
  bodyKind?: BodyKind
} & (
    | { handle: (input: Input<P, Q, B>) => Promise<Answer> | Answer }
    | { forward: (input: Input<P, Q, B>) => Forward }
  )

/** Ties a handler's input to its schemas; in the table the types are no longer needed. */
export function route<P = unknown, Q = unknown, B = unknown>(
  definition: Definition<P, Q, B>,
): Route {
  const bodyKind = definition.bodyKind ?? (definition.body === undefined ? 'none' : 'json')
  return { ...definition, bodyKind } as Route
}

/** Throws `invalid_request` that lists every fault, each with its place. */
export function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  return asRequest(what, () => checkDocument(schema, jsonDocument(value)))
}

/** A body all of whose fields may be left out may be left out itself. */
export function mayBeEmpty(body: z.ZodType): boolean {
  return body.safeParse(undefined).success
}

/** The data of a JSON body: no deeper and with no other keys than document.ts allows. */
export function parseBody(text: string): unknown {
  return asRequest('the body', () => readJson(text).data)
}

/** The error for a part of a request; its message names the first fault and counts the others. */
export function faulty(code: ErrorCode, part: string, problems: readonly Problem[]): TucanoError {
  const [first] = problems
  const others = problems.length > 1 ? `; and ${problems.length - 1} more` : ''
  const message = `${part} is not valid: ${first?.where}: ${first?.what}${others}`
  return new TucanoError(code, message, { problems })
}

/** Matches a path of the table, so that a wrong method can be told from a wrong path. */
export function patternOf(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replaceAll('.', '\\.')
  })
  return new RegExp(`^${parts.join('/')}$`)
}

function asRequest<T>(what: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (!(error instanceof TucanoError)) throw error
    throw faulty('invalid_request', what, error.problems)
  }
}
