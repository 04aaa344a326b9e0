// Speaks the controller's API over HTTP. Every request ends within its time; only a log that is
// followed may go on. The token goes into one header and into no word that anyone reads.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { createInterface } from 'node:readline'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TucanoError } from '#shared/errors.ts'
import { errorOfProblem, problemSchema } from '#shared/problem.ts'
import type { Client, Progress } from './client.ts'
import { Interrupted } from './command.ts'

const REQUEST_MS = 30_000
/** A 256 MiB image over a slow line; an upload that stands still ends by UPLOAD_IDLE_MS. */
const UPLOAD_MS = 1_800_000
const UPLOAD_IDLE_MS = 60_000
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

type Ask = {
  method: string
  path: string
  timeoutMs: number
  headers?: Record<string, string>
  body?: string
  /** Ends the request; what is thrown then is Interrupted. */
  signal: AbortSignal
}

type Open = (ask: {
  method: string
  path: string
  headers?: Record<string, string>
}) => http.ClientRequest
type Use = (answer: IncomingMessage) => Promise<unknown>

export function createClient(options: {
  url: string
  token: string
  signal: AbortSignal
  requestMs?: number
}): Client {
  const { url, token, signal } = options
  const base = url.replace(/\/+$/, '')
  const requestMs = options.requestMs ?? REQUEST_MS

  const open: Open = ({ method, path, headers }) => {
    const target = new URL(`${base}${path}`)
    const { request } = target.protocol === 'https:' ? https : http
    // Without an agent no kept connection can turn out to be closed.
    return request(target, {
      method,
      agent: false,
      headers: { ...headers, authorization: `Bearer ${token}`, accept: 'application/json, */*' },
    })
  }

  const ask = (wanted: Omit<Ask, 'signal'>, use: Use) =>
    exchange({ base, open }, { ...wanted, signal }, use)

  const json = async <T>(wanted: Omit<Ask, 'signal'>): Promise<T> =>
    (await ask(wanted, (answer) => readJson(base, answer))) as T

  return {
    url: base,
    get: (path, more) => json({ method: 'GET', path, timeoutMs: more?.timeoutMs ?? requestMs }),
    send: (method, path, body) =>
      json({
        method,
        path,
        timeoutMs: requestMs,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }),
    exists: async (path) => {
      const wanted = { method: 'HEAD', path, timeoutMs: requestMs }
      return (await ask(wanted, async (answer) => {
        answer.resume()
        if (answer.statusCode === 404) return false
        if (answer.statusCode === 200) return true
        throw errorOfProblem(answer.statusCode ?? 0, undefined)
      })) as boolean
    },
    upload: async <T>(path: string, file: string, onProgress: Progress) =>
      (await upload({ base, open, path, file, onProgress, signal })) as T,
    lines: (path, until) => lines({ base, open, path, signal: AbortSignal.any([signal, until]) }),
  }
}

/** Sends one request and hands its answer to `use`, all within the time. */
async function exchange(
  { base, open }: { base: string; open: Open },
  wanted: Ask,
  use: Use,
): Promise<unknown> {
  if (wanted.signal.aborted) throw new Interrupted()
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), wanted.timeoutMs)
  const sent = open(wanted)
  const stop = () => sent.destroy(new Error('ended'))
  const all = AbortSignal.any([deadline.signal, wanted.signal])
  all.addEventListener('abort', stop, { once: true })
  try {
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve)
      sent.on('error', reject)
    })
    sent.end(wanted.body)
    return await use(await answered)
  } catch (cause) {
    if (wanted.signal.aborted) throw new Interrupted()
    if (deadline.signal.aborted) throw tooSlow(base, wanted.timeoutMs)
    throw cause instanceof TucanoError ? cause : unreachable(base, cause)
  } finally {
    clearTimeout(timer)
    all.removeEventListener('abort', stop)
    sent.destroy()
  }
}

async function upload(wanted: {
  base: string
  open: Open
  path: string
  file: string
  onProgress: Progress
  signal: AbortSignal
}): Promise<unknown> {
  const { base, open, path, file, onProgress, signal } = wanted
  const { size } = await stat(file)
  const headers = { 'content-type': 'application/gzip', 'content-length': String(size) }
  const sent = open({ method: 'POST', path, headers })
  sent.setTimeout(UPLOAD_IDLE_MS, () => sent.destroy(new Error('the upload stands still')))
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve)
    sent.on('error', reject)
  })
  const ends = AbortSignal.any([signal, AbortSignal.timeout(UPLOAD_MS)])
  // A refusal may come before all is sent; then it is the answer that counts.
  const sending = pipeline(createReadStream(file), counted(size, onProgress), sent, {
    signal: ends,
  }).catch((error: unknown) => error)
  try {
    return await readJson(base, await answered)
  } catch (cause) {
    if (signal.aborted) throw new Interrupted()
    throw cause instanceof TucanoError ? cause : unreachable(base, (await sending) ?? cause)
  } finally {
    sent.destroy()
    await sending
  }
}

function counted(size: number, onProgress: Progress): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      onProgress(bytes, size)
      done(null, chunk)
    },
  })
}

async function* lines(wanted: {
  base: string
  open: Open
  path: string
  signal: AbortSignal
}): AsyncGenerator<string> {
  const { base, open, path, signal } = wanted
  if (signal.aborted) return
  const sent = open({ method: 'GET', path })
  const stop = () => sent.destroy()
  signal.addEventListener('abort', stop, { once: true })
  // The head must come in time; the lines may take as long as they like.
  const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), REQUEST_MS)
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve)
      sent.on('error', reject)
      sent.end()
    })
    clearTimeout(timer)
    if (answer.statusCode !== 200) await readJson(base, answer)
    // readline does not tell of a broken answer: what ends too early is asked for again.
    answer.on('error', () => {})
    yield* createInterface({ input: answer, crlfDelay: Infinity })
  } catch (cause) {
    if (signal.aborted) return
    throw cause instanceof TucanoError ? cause : unreachable(base, cause)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    sent.destroy()
  }
}

async function readJson(base: string, answer: IncomingMessage): Promise<unknown> {
  const status = answer.statusCode ?? 0
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new TucanoError('too_large', 'the answer is too large')
    chunks.push(chunk)
  }
  const body = parsed(Buffer.concat(chunks).toString('utf8'))
  if (status >= 200 && status < 300) {
    if (body !== undefined) return body
    throw new TucanoError('unavailable', 'the answer is not JSON: is this a Tucano controller?')
  }
  if (status >= 300 && status < 400) {
    throw new TucanoError('unavailable', `the answer is a redirection (HTTP ${status})`)
  }
  // The controller's own 404 says what there is not; another server knows nothing of the path.
  if (status === 404 && !problemSchema.safeParse(body).success) throw foreign(base)
  throw errorOfProblem(status, body)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A proxy in between may answer with a page; its status says enough.
    return undefined
  }
}

function foreign(base: string): TucanoError {
  return new TucanoError(
    'usage',
    `${base} is not a Tucano API (is that the balancer's port?): the answer was HTTP 404`,
  )
}

function tooSlow(base: string, ms: number): TucanoError {
  return new TucanoError('timeout', `the controller at ${base} did not answer in ${ms / 1_000} s`)
}

function unreachable(base: string, cause: unknown): TucanoError {
  const reason = reasonOf(cause)
  const next = 'start it, or give the right --controller URL (tucano up starts one here)'
  return new TucanoError(
    'unavailable',
    `cannot reach the controller at ${base}: ${reason}; ${next}`,
  )
}

function reasonOf(cause: unknown): string {
  const errors = cause instanceof AggregateError ? (cause.errors as unknown[]) : [cause]
  const first = errors[0]
  const code = first instanceof Error && 'code' in first ? String(first.code) : ''
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'it broke off the connection',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'its name cannot be resolved now',
    EHOSTUNREACH: 'no route to it',
    ENETUNREACH: 'no route to it',
    ETIMEDOUT: 'it does not answer',
  }
  return words[code] ?? (first instanceof Error ? first.message : String(first))
}
