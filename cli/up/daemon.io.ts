// Starts one daemon of the cluster, in a session of its own so that the terminal's Ctrl-C reaches
// only `up`, which then stops all in order. Its output goes to a file: it may outlive `up`.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { FOLDER_MARK, type Found, NAME_MARK, startTimeOf } from './own-processes.io.ts'

const LOG_BYTES_MAX = 10 * 1024 * 1024
const TAIL_BYTES = 16 * 1024
const TAIL_LINES = 15

export type Daemon = Found & {
  /** Resolves in words when it has ended: `exit code 1`, `SIGKILL`. */
  ended: Promise<string>
  /** The last lines that it wrote since its start. */
  lastLines(): string[]
}

export function startDaemon(wanted: {
  name: string
  folder: string
  argv: readonly string[]
  logFile: string
}): Daemon {
  const { name, folder, argv, logFile } = wanted
  mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 })
  const from = rotate(logFile)
  const log = openSync(logFile, 'a', 0o600)
  const child = spawn(process.execPath, [...argv], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, [FOLDER_MARK]: folder, [NAME_MARK]: name },
  })
  closeSync(log)
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
  const pid = child.pid ?? 0
  return {
    name,
    pid,
    startTime: startTimeOf(pid) ?? '',
    ended,
    lastLines: () => tail(logFile, from),
  }
}

/** Where in the file this start's lines begin. */
function rotate(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size < LOG_BYTES_MAX) return size
  renameSync(file, `${file}.1`)
  return 0
}

function tail(file: string, from: number): string[] {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const start = Math.max(from, size - TAIL_BYTES)
  if (size <= start) return []
  const bytes = Buffer.alloc(size - start)
  const handle = openSync(file, 'r')
  readSync(handle, bytes, 0, bytes.length, start)
  closeSync(handle)
  return bytes.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES)
}
