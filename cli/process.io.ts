// Joins the program to its process: arguments, streams, signals and the exit code.

import { commands } from './commands.ts'
import { run } from './run.ts'

export async function runProcess(): Promise<void> {
  endQuietlyOnBrokenPipe(process.stdout)
  endQuietlyOnBrokenPipe(process.stderr)
  const ending = new AbortController()
  const onSignal = () => ending.abort()
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  const code = await run(process.argv.slice(2), commands, {
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    folder: process.cwd(),
    now: Date.now,
    signal: ending.signal,
  })
  await flushed(process.stdout)
  process.exit(code)
}

/** `tucano ps | head -1`: that the reader has enough is no failure. */
function endQuietlyOnBrokenPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

/** A pipe takes what was written only by and by. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}
