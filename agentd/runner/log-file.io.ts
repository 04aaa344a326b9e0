// The output of one instance: `output.log`, opened O_APPEND for stdout and stderr alike. One file
// keeps the order in which lines were printed. It is rotated by copy and truncation, which no
// program notices (decision 0004), to `output.log.1` (newest) up to `output.log.9`.

import { type FSWatcher, watch } from 'node:fs'
import {
  copyFile,
  type FileHandle,
  mkdir,
  open,
  rename,
  rm,
  stat,
  truncate,
} from 'node:fs/promises'
import { join } from 'node:path'
import { TucanoError } from '#shared/errors.ts'
import { LOG_LINE_MAX } from '#shared/wire.ts'
import { cleanLine } from './log-lines.ts'

export const LOG_FILE_BYTES_MAX = 10 * 1024 * 1024
/** With the one that is being written. */
export const LOG_FILES_MAX = 10
/** What `tail` reads at most, whatever number of lines is asked for. */
export const TAIL_BYTES_MAX = 1024 * 1024
const TAIL_STEP_BYTES = 64 * 1024
const WHOLE_COPY = 1.25
const FOLLOW_BYTES = 64 * 1024
/** In case the file system gives no events. */
const FOLLOW_POLL_MS = 1_000

export type RotationLimits = { bytesMax: number; filesMax: number }
export const rotationLimits: RotationLimits = {
  bytesMax: LOG_FILE_BYTES_MAX,
  filesMax: LOG_FILES_MAX,
}

export function logPath(folder: string): string {
  return join(folder, 'output.log')
}

/** Creates the folder and opens the output file for a program's stdout and stderr. */
export async function openLogFiles(folder: string): Promise<{ path: string; handle: FileHandle }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = logPath(folder)
  return { path, handle: await open(path, 'a', 0o600) }
}

/**
 * Rotates when the file has grown over its limit; true: it did. One call at a time for a path.
 * A flood of more than the limit between two calls keeps its end: the middle is left out with a
 * note, so that rotated files stay near the limit however much is printed.
 */
export async function rotateIfNeeded(
  path: string,
  limits: RotationLimits = rotationLimits,
): Promise<boolean> {
  const found = await stat(path).catch(nothingWhenAbsent)
  if (found === undefined || found.size <= limits.bytesMax) return false
  const last = limits.filesMax - 1
  await rm(`${path}.${last}`, { force: true })
  for (let number = last - 1; number >= 1; number -= 1) {
    await rename(`${path}.${number}`, `${path}.${number + 1}`).catch(nothingWhenAbsent)
  }
  // With this margin a usual rotation drops nothing.
  if (last >= 1) {
    if (found.size > WHOLE_COPY * limits.bytesMax) await copyEnd(path, found.size, limits.bytesMax)
    else await copyFile(path, `${path}.1`)
  }
  await truncate(path)
  return true
}

/** Last lines, oldest first, without control characters, each at most LOG_LINE_MAX long. */
export async function tail(path: string, lines: number): Promise<string[]> {
  return linesBefore(path, lines)
}

/** Deletes the output and all rotated files. */
export async function dropLogs(path: string, filesMax: number = LOG_FILES_MAX): Promise<void> {
  await rm(path, { force: true })
  for (let number = 1; number < filesMax; number += 1) {
    await rm(`${path}.${number}`, { force: true })
  }
}

/**
 * The last `lines` lines, then each new one as soon as it is whole, through rotations. Ends when
 * `signal` aborts or the file is deleted; rejects with `not_found` when there is none.
 */
export async function* follow(
  path: string,
  lines: number,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  await using handle = await open(path, 'r').catch(nothingWhenAbsent)
  if (handle === undefined) throw new TucanoError('not_found', 'there is no output yet')
  const news = createBell()
  const watcher = watchFile(path, news.ring)
  signal.addEventListener('abort', news.ring)
  try {
    const position = await lastLineStart(handle, (await handle.stat()).size)
    yield* await linesBefore(path, lines, position)
    const reader = createLineReader(position)
    while (!signal.aborted) {
      const { size, nlink } = await handle.stat()
      if (size < reader.position()) {
        await using rotated = await open(`${path}.1`, 'r').catch(nothingWhenAbsent)
        if (rotated !== undefined) yield* reader.read(rotated, (await rotated.stat()).size)
        reader.restart()
      }
      yield* reader.read(handle, size)
      if (nlink === 0) return
      await news.wait(FOLLOW_POLL_MS)
    }
  } finally {
    signal.removeEventListener('abort', news.ring)
    watcher?.close()
  }
}

function watchFile(path: string, ring: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, ring)
    watcher.on('error', ring)
    return watcher
  } catch {
    return undefined // It is gone, or too much is watched: the poll finds what is new all the same.
  }
}

/** Reads forward and gives whole lines; what has no end yet waits for it, up to LOG_LINE_MAX. */
function createLineReader(start: number) {
  let position = start
  let rest = Buffer.alloc(0)
  return {
    position: () => position,
    restart() {
      position = 0
    },
    async *read(handle: FileHandle, size: number): AsyncGenerator<string, void, undefined> {
      const buffer = Buffer.alloc(FOLLOW_BYTES)
      while (position < size) {
        const length = Math.min(buffer.length, size - position)
        const { bytesRead } = await handle.read(buffer, 0, length, position)
        if (bytesRead === 0) return // Truncated meanwhile.
        position += bytesRead
        let bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
        for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10)) {
          yield cleanLine(bytes.toString('utf8', 0, end))
          bytes = bytes.subarray(end + 1)
        }
        // Four bytes are the longest character: this much is a full line in any case.
        if (bytes.length > LOG_LINE_MAX * 4) {
          yield cleanLine(bytes.toString('utf8'))
          bytes = bytes.subarray(bytes.length)
        }
        rest = Buffer.from(bytes)
      }
    },
  }
}

/** A wait that ends early when it is rung, also when that was before the wait began. */
function createBell() {
  let rung = false
  let wake: (() => void) | undefined
  return {
    ring() {
      rung = true
      wake?.()
    },
    async wait(ms: number): Promise<void> {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      wake = undefined
      rung = false
    },
  }
}

/** Where the unfinished last line begins, or the end when the last line is whole. */
async function lastLineStart(handle: FileHandle, size: number): Promise<number> {
  const length = Math.min(size, LOG_LINE_MAX * 4)
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await handle.read(buffer, 0, length, size - length)
  return size - length + buffer.subarray(0, bytesRead).lastIndexOf(10) + 1
}

async function linesBefore(path: string, lines: number, position?: number): Promise<string[]> {
  const current = await lastLines(path, lines, position)
  if (current.length >= lines) return current
  return [...(await lastLines(`${path}.1`, lines - current.length)), ...current]
}

/** Of the file's first `end` bytes, or of all. */
async function lastLines(path: string, lines: number, end?: number): Promise<string[]> {
  if (lines <= 0) return []
  const handle = await open(path, 'r').catch(nothingWhenAbsent)
  if (handle === undefined) return []
  try {
    const size = end ?? (await handle.stat()).size
    let bytes = Math.min(size, TAIL_STEP_BYTES)
    let found = await readLines(handle, size, bytes)
    while (found.length <= lines && bytes < Math.min(size, TAIL_BYTES_MAX)) {
      bytes = Math.min(size, TAIL_BYTES_MAX, bytes * 4)
      found = await readLines(handle, size, bytes)
    }
    return found.slice(-lines).map(cleanLine)
  } finally {
    await handle.close()
  }
}

/** The lines of the file's last bytes; the first one may lack its beginning. */
async function readLines(handle: FileHandle, size: number, bytes: number): Promise<string[]> {
  const buffer = Buffer.alloc(bytes)
  const { bytesRead } = await handle.read(buffer, 0, bytes, size - bytes)
  const lines = buffer.toString('utf8', 0, bytesRead).split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

async function copyEnd(path: string, size: number, bytes: number): Promise<void> {
  await using source = await open(path, 'r')
  await using target = await open(`${path}.1`, 'w', 0o600)
  const dropped = size - bytes
  await target.writeFile(`[... dropped ${dropped} bytes]\n`)
  const buffer = Buffer.alloc(TAIL_BYTES_MAX)
  for (let at = dropped; at < size; ) {
    const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, size - at), at)
    if (bytesRead === 0) return
    await target.writeFile(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
}

export function nothingWhenAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
