// A daemon as a process of a test: its output goes to a file and is watched for the line that says
// that it is ready.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'

export type Daemon = {
  name: string
  pid: number
  log: string
  exited: Promise<number | null>
  kill(signal: NodeJS.Signals): void
}

/** `isReady` rejects with the daemon's words when it ends before it says the line. */
export function startDaemon(
  program: string,
  args: readonly string[],
  { name, log, ready }: { name: string; log: string; ready: RegExp },
): { daemon: Daemon; isReady: Promise<void> } {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const daemon: Daemon = {
    name,
    pid: child.pid ?? 0,
    log,
    exited: once(child, 'exit').then(([code]) => code as number | null),
    kill(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    },
  }
  return { daemon, isReady: lineOf(child, log, ready) }
}

function lineOf(child: ChildProcess, log: string, ready: RegExp): Promise<void> {
  const file = createWriteStream(log, { flags: 'a' })
  let seen = ''
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        file.write(chunk)
        if (seen.length < 100_000) seen += chunk
        if (ready.test(seen)) resolve()
      })
    }
    child.once('exit', (code) => reject(new Error(`exit ${code}: ${seen}`)))
  })
}
