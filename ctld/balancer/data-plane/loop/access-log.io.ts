// Writes the lines of the access log: gathered and appended in whole pieces, so that several loops
// and processes share one file. It never holds up a request: lines that the disk is too slow for
// are dropped, counted and told. A file that was moved away is opened anew, so logrotate needs no
// signal.

import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import type { Cancel, Clock, Log } from '#shared/ports.ts'

const FLUSH_LENGTH = 32 * 1024
const FLUSH_MS = 500
const WAITING_LENGTH_MAX = 1024 * 1024
const LOOK_MS = 1_000
const TELL_MS = 60_000
const MODE = 0o640
/** Not held up by a pipe that nobody reads. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

export type AccessLog = {
  /** `line` is ASCII and ends with a line break. */
  append(line: string): void
  counters(): { lines: number; dropped: number }
  /** Writes what waits; nothing is appended after it. */
  close(): Promise<void>
}

export function createAccessLog(ports: { file: string; clock: Clock; log: Log }): AccessLog {
  const { file, clock, log } = ports
  let waiting = ''
  let waitingLines = 0
  let handle: FileHandle | undefined
  let failure: unknown
  let lookAt = Number.NEGATIVE_INFINITY
  let isTorn = false
  let isBroken = false
  let isClosed = false
  let writing: Promise<void> | undefined
  let stopTimer: Cancel | undefined
  let stopTelling: Cancel | undefined
  let lines = 0
  let dropped = 0
  let told = 0

  const drop = (count: number) => {
    dropped += count
    if (isClosed) return
    stopTelling ??= clock.after(TELL_MS, tell)
  }
  const tell = () => {
    stopTelling?.()
    stopTelling = undefined
    if (dropped === told) return
    log.warn(
      { file, lines: dropped - told },
      'lines of the access log dropped: the disk is too slow',
    )
    told = dropped
  }

  /** The file of that name, also when it is another one than a second ago. */
  const current = async (): Promise<FileHandle> => {
    if (clock.now() < lookAt) {
      if (handle === undefined) throw failure
      return handle
    }
    lookAt = clock.now() + LOOK_MS
    if (handle !== undefined && (await isStill(handle, file))) return handle
    const former = handle
    handle = undefined
    await former?.close()
    try {
      handle = await open(file, APPEND, MODE)
    } catch (error) {
      failure = error
      throw error
    }
    isTorn = false
    return handle
  }

  const write = async (text: string, count: number) => {
    try {
      const to = await current()
      // What a full disk tore is one line, and not the next one too.
      const bytes = Buffer.from(isTorn ? `\n${text}` : text, 'latin1')
      isTorn = true
      for (let at = 0; at < bytes.length; ) {
        at += (await to.write(bytes, at, bytes.length - at)).bytesWritten
      }
      isTorn = false
      lines += count
      if (isBroken) log.info({ file }, 'access log is written again')
      isBroken = false
    } catch (cause) {
      drop(count)
      if (!isBroken)
        log.error(
          { file, error: String(cause) },
          'access log cannot be written: may the balancer write there?',
        )
      isBroken = true
    }
  }

  const flush = () => {
    stopTimer?.()
    stopTimer = undefined
    if (writing !== undefined || waitingLines === 0) return
    const [text, count] = [waiting, waitingLines]
    waiting = ''
    waitingLines = 0
    writing = write(text, count).then(() => {
      writing = undefined
      if (waiting.length >= FLUSH_LENGTH || isClosed) flush()
      else if (waitingLines > 0) stopTimer ??= clock.after(FLUSH_MS, flush)
    })
  }

  return {
    append(line) {
      if (isClosed || waiting.length + line.length > WAITING_LENGTH_MAX) {
        drop(1)
        return
      }
      waiting += line
      waitingLines += 1
      if (waiting.length >= FLUSH_LENGTH) flush()
      else if (stopTimer === undefined && writing === undefined) {
        stopTimer = clock.after(FLUSH_MS, flush)
      }
    },
    counters: () => ({ lines, dropped }),
    async close() {
      isClosed = true
      flush()
      while (writing !== undefined) await writing
      tell()
      await handle?.close()
      handle = undefined
    },
  }
}

async function isStill(handle: FileHandle, file: string): Promise<boolean> {
  const [open, named] = await Promise.all([handle.stat(), statOf(file)])
  return named !== undefined && open.ino === named.ino && open.dev === named.dev
}

async function statOf(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
