// Reads a value that nobody shall see from standard input: piped, or typed without an echo. It is
// never a word of the command line, which other users of the machine can read.

import type { Readable } from 'node:stream'
import { TucanoError } from '#shared/errors.ts'
import { SECRET_BYTES_MAX } from '#shared/wire.ts'
import { Interrupted } from './command.ts'

/** What is needed of the process's standard input. */
export type Input = Readable & { isTTY?: boolean; setRawMode?(isRaw: boolean): unknown }

/** What keys send: Enter as either of two, Ctrl-D, Ctrl-C, and Backspace as either of two. */
const ENDS = ['\r', '\n', '\u0004']
const INTERRUPT = '\u0003'
const ERASES = ['\b', '\u007f']

/** All that is piped in, without one line break at its end unless `isExact`. */
export async function readPiped(
  input: Input,
  { isExact, signal }: { isExact: boolean; signal: AbortSignal },
): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  await reading(input, signal, (chunk) => {
    bytes += chunk.length
    if (bytes > SECRET_BYTES_MAX + 2) throw tooLong()
    chunks.push(chunk)
    return true
  })
  const text = textOf(Buffer.concat(chunks))
  return checked(isExact ? text : text.replace(/\r?\n$/, ''))
}

/** One line that is typed; nothing of it appears. */
export async function readTyped(input: Input, signal: AbortSignal): Promise<string> {
  let typed = Buffer.alloc(0)
  input.setRawMode?.(true)
  try {
    await reading(input, signal, (chunk) => {
      typed = Buffer.concat([typed, chunk])
      if (typed.includes(INTERRUPT)) throw new Interrupted()
      if (typed.length > SECRET_BYTES_MAX + 2) throw tooLong()
      return !ENDS.some((end) => typed.includes(end))
    })
  } finally {
    input.setRawMode?.(false)
  }
  return checked(lineOf(textOf(typed)))
}

async function reading(
  input: Input,
  signal: AbortSignal,
  take: (chunk: Buffer) => boolean,
): Promise<void> {
  const stop = () => input.destroy(new Interrupted())
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (signal.aborted) throw new Interrupted()
    for await (const chunk of input) {
      if (!take(Buffer.from(chunk as Uint8Array | string))) return
    }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function lineOf(typed: string): string {
  const line: string[] = []
  for (const character of typed) {
    if (ENDS.includes(character)) break
    if (ERASES.includes(character)) line.pop()
    else line.push(character)
  }
  return line.join('')
}

function checked(value: string): string {
  if (Buffer.byteLength(value) > SECRET_BYTES_MAX) throw tooLong()
  if (value !== '') return value
  throw new TucanoError(
    'usage',
    'the value is empty: pipe it in, like: tucano secret set NAME < FILE',
  )
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    const words = 'the value is not UTF-8 text: encode it, for example with base64'
    throw new TucanoError('usage', words, { cause })
  }
}

const tooLong = () => new TucanoError('usage', `the value is longer than ${SECRET_BYTES_MAX} bytes`)
