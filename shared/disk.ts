// The disk as a port: just the steps that decide what survives a power cut, one call each. The
// real one is disk.io.ts; the simulator brings one that loses whatever was not synced.

import { TucanoError } from './errors.ts'

export type Disk = {
  /** undefined: there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>
  /** Creates or overwrites. The content is durable when it resolves, the name after syncFolder. */
  write(path: string, bytes: Uint8Array): Promise<void>
  /** Gives the same content a second name, which must be free; false: there is no `from`. */
  link(from: string, to: string): Promise<boolean>
  /** Replaces `to` in one step. */
  rename(from: string, to: string): Promise<void>
  /** Nothing happens when there is no such file. */
  remove(path: string): Promise<void>
  /** Names in the folder, sorted by code unit. */
  list(folder: string): Promise<string[]>
  /** Creates it, with its parents, for its owner alone (0700); durable when it resolves. */
  makeFolder(folder: string): Promise<void>
  /** Names given, changed and removed in the folder so far are durable when it resolves. */
  syncFolder(folder: string): Promise<void>
}

const SQLITE_FULL = 13

/** `store_failed` in words a user can act on: what, where, how to mend it. */
export function storeFailed(doing: string, path: string, cause: unknown): TucanoError {
  if (cause instanceof TucanoError) return cause
  const message = wordsOf(doing, path, cause)
  return new TucanoError('store_failed', message, {
    cause,
    problems: [{ where: path, what: message }],
  })
}

export function isDiskFull(error: unknown): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  // The low byte is SQLite's primary result code; the rest refines it.
  const isFullDatabase = typeof errcode === 'number' && (errcode & 0xff) === SQLITE_FULL
  return code === 'ENOSPC' || code === 'EDQUOT' || isFullDatabase
}

function wordsOf(doing: string, path: string, cause: unknown): string {
  const folder = path.slice(0, path.lastIndexOf('/')) || '/'
  if (isDiskFull(cause)) {
    return `no space left on ${folder}: free some space; writes are refused until then`
  }
  const reason = cause instanceof Error ? cause.message : String(cause)
  return `cannot ${doing} ${path}: ${reason}: ${remedyOf(cause, folder)}`
}

function remedyOf(cause: unknown, folder: string): string {
  switch ((cause as { code?: unknown }).code) {
    case 'EACCES':
    case 'EPERM':
      return `let the user that runs this program own ${folder}`
    case 'EROFS':
      return `mount the disk of ${folder} for writing`
    default:
      return `check the disk that holds ${folder}`
  }
}
