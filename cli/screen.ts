// Where a command's words go: results to standard output, progress to standard error. Colour and
// a line that redraws itself only where a person looks at a terminal.

import { type Cell, type Column, layTable, plain, type Tone } from './table.ts'

const WIDTH = 80

/** The part of a stream that is needed. */
export type Sink = { write(text: string): unknown; isTTY?: boolean; columns?: number }

export type Screen = {
  readonly json: boolean
  readonly wide: boolean
  /** A result, to standard output. */
  line(text?: string): void
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void
  /** JSON to standard output: one object, or one per line while following. */
  object(value: unknown): void
  objectLine(value: unknown): void
  /** A line of progress, to standard error. */
  note(text: string): void
  /** The line that is redrawn; where nobody looks at a terminal it is not written at all. */
  status(text: string): void
  paint(tone: Tone, text: string): string
  paintNote(tone: Tone, text: string): string
}

export type ScreenOptions = {
  out: Sink
  err: Sink
  env: NodeJS.ProcessEnv
  json: boolean
  wide: boolean
}

const codes: Record<Tone, number> = { good: 32, warn: 33, bad: 31, dim: 2 }

export function createScreen({ out, err, env, json, wide }: ScreenOptions): Screen {
  const painter = (sink: Sink) => (tone: Tone, text: string) =>
    hasColour(sink, env) ? `\u001b[${codes[tone]}m${text}\u001b[0m` : text
  const isLive = err.isTTY === true && env.TERM !== 'dumb'
  let drawn = false

  const clear = () => {
    if (drawn) err.write('\r\u001b[K')
    drawn = false
  }
  const line = (text = '') => {
    clear()
    out.write(`${text}\n`)
  }
  const paint = painter(out)
  return {
    json,
    wide,
    line,
    table(columns, rows) {
      const width = wide ? Infinity : WIDTH
      for (const text of layTable(columns, rows, { width, paint })) line(text)
    },
    object: (value) => line(JSON.stringify(value, null, 2)),
    objectLine: (value) => line(JSON.stringify(value)),
    note(text) {
      clear()
      err.write(`${text}\n`)
    },
    status(text) {
      if (!isLive) return
      const width = Math.max(20, (err.columns ?? WIDTH) - 1)
      err.write(`\r\u001b[K${plain(text).slice(0, width)}`)
      drawn = text !== ''
    },
    paint,
    paintNote: painter(err),
  }
}

/** https://no-color.org: any value that is not empty. */
function hasColour(sink: Sink, env: NodeJS.ProcessEnv): boolean {
  return sink.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
}
