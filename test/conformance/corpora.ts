// Reads the corpora of requests that other projects keep, and makes cases of one kind of them.
// Nothing of them is kept here: a folder with them is given.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readStrictly } from './strict-reader.ts'

export type Case = {
  id: string
  /** One letter per octet. */
  raw: string
  /** `any`: the corpus does not say; nothing malformed or extra may come of it. */
  want: 'valid' | 'invalid' | 'any'
  /** Whole requests that may come of it at most. */
  forwardedMax: number
}

export type Corpus = { name: string; cases: Case[] }

type Entry = { id: string; raw: string; want: string; maxfwd: number }

export const CORPORA = ['llhttp', 'gunicorn-requests', 'http-garden', 'smuggler-default'] as const

/** PROXY protocol and options of gunicorn: not about requests. */
const NOT_FOR_A_PROXY = /\/(?:pp_|limit_)/

export function readCorpora(folder: string): Corpus[] {
  return CORPORA.map((name) => ({ name, cases: readers[name](join(folder, name)) }))
}

const readers: Record<(typeof CORPORA)[number], (folder: string) => Case[]> = {
  llhttp: (folder) =>
    entriesOf(join(folder, 'strict-request-cases.json')).map((entry) =>
      withHost(entry, entry.want === 'error' ? 'invalid' : entry.want === 'ok' ? 'valid' : 'any'),
    ),
  'gunicorn-requests': (folder) =>
    entriesOf(join(folder, 'cases.json'))
      .filter(({ id }) => !NOT_FOR_A_PROXY.test(id))
      .map((entry) => withHost(entry, entry.want === 'valid' ? 'valid' : 'invalid')),
  'http-garden': (folder) =>
    entriesOf(join(folder, 'payloads.json')).map((entry) => withHost(entry, 'any')),
  'smuggler-default': (folder) => smugglerCases(join(folder, 'mutations.json')),
}

function entriesOf(file: string): Entry[] {
  return JSON.parse(readFileSync(file, 'utf8')) as Entry[]
}

/** Its authors do not ask for a Host, we do; what they test is something else. */
function withHost({ id, raw, maxfwd }: Entry, want: Case['want']): Case {
  const forwardedMax = maxfwd
  if (/^host[ \t]*:/im.test(raw)) return { id, want, forwardedMax, raw }
  const told = raw.replace(/(^|\n)(\S+ (\S+) HTTP\/1\.1\r\n)/g, (_, before, line, target) => {
    const authority = /^https?:\/\/([^/?]*)/i.exec(target)?.[1] ?? 'a'
    return `${before}${line}Host: ${authority}\r\n`
  })
  return { id, want, forwardedMax, raw: told }
}

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

/** Each mutation twice: once whoever reads the length is fooled, once whoever reads the chunks. */
function smugglerCases(file: string): Case[] {
  const sets = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, string>>
  const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
  const behind = `0\r\n\r\n${smuggled}`
  return Object.entries(sets.default ?? {}).flatMap(([name, head]) => [
    smugglerCase(`${name} CL.TE`, head, behind, behind.length),
    smugglerCase(`${name} TE.CL`, head, chunk, chunk.indexOf('\r\n') + 2),
  ])
}

function smugglerCase(id: string, head: string, body: string, length: number): Case {
  const filled = head
    .replaceAll('__METHOD__', 'POST')
    .replaceAll('__ENDPOINT__', '/')
    .replaceAll('__RANDOM__', '1')
    .replaceAll('__HOST__', 'a')
    .replaceAll('__REPLACE_CL__', String(length))
  // Where the mutation is only the value of some other field, both requests were honestly sent.
  const forwardedMax = readStrictly(`${filled}\r\n${body}`).messages.length
  return { id, raw: `${filled}\r\n${body}`, want: 'any', forwardedMax }
}
