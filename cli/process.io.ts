// Joins the program to its process: arguments, streams, signals and the exit code.

import { commands } from './commands.ts'
import { run } from './run.ts'

export async function runProcess(): Promise<void> {
  const ending = new AbortController()
  let isReaderGone = false
  // `tucano ps | head -1`: that the reader has enough is no failure. What was started is still
  // stopped in order.
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
    isReaderGone = true
    ending.abort()
  }
  process.stdout.on('error', onError)
  process.stderr.on('error', onError)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => ending.abort())
  }
  const code = await run(process.argv.slice(2), commands, {
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    input: process.stdin,
    folder: process.cwd(),
    now: Date.now,
    signal: ending.signal,
  })
  await flushed(process.stdout)
  process.exit(isReaderGone ? 0 : code)
}

/** A pipe takes what was written only by and by. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}
