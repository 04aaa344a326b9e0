// One daemon per data folder: two controllers would overwrite each other's state, two agents would
// sweep each other's programs away. The lock is the kernel's (a file lock that SQLite takes), so a
// daemon that was killed leaves none behind; lock.json only says to people who holds it.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { machineDisk } from './disk.io.ts'
import { storeFailed } from './disk.ts'
import { TucanoError } from './errors.ts'
import type { Clock } from './ports.ts'

const SQLITE_BUSY = 5
/** How often it is tried while lock.json names nobody who lives: its writer may be about to. */
const TRIES_MAX = 10
const TRY_AGAIN_MS = 30

export type FolderLock = Disposable

type Holder = { pid: number; host: string }

/**
 * Creates the folder (0700) where there is none. Rejects with `data_locked`, within half a second,
 * naming who holds it, and with `store_failed`. `daemon` says what holds it, for people.
 */
export async function lockFolder(
  { folder, daemon }: { folder: string; daemon: 'controller' | 'agent' | 'balancer' },
  clock: Clock,
): Promise<FolderLock> {
  await machineDisk.makeFolder(folder).catch((error) => {
    throw storeFailed('create', folder, error)
  })
  for (let tries = 1; ; tries++) {
    const lock = tryLock(folder)
    if (lock !== undefined) return lock
    const holder = readHolder(folder)
    if ((holder !== undefined && mayLive(holder)) || tries === TRIES_MAX) {
      throw locked(folder, daemon, holder)
    }
    await new Promise<void>((resolve) => clock.after(TRY_AGAIN_MS, resolve))
  }
}

/** undefined: somebody else holds it. */
function tryLock(folder: string): FolderLock | undefined {
  const path = `${folder}/lock.db`
  const database = openLock(path)
  try {
    database.exec('BEGIN EXCLUSIVE')
    writeHolder(folder)
  } catch (error) {
    database.close()
    if (((error as { errcode?: number }).errcode ?? 0) === SQLITE_BUSY) return undefined
    throw storeFailed('lock', path, error)
  }
  return {
    [Symbol.dispose]() {
      rmSync(holderPath(folder), { force: true })
      database.close()
    },
  }
}

function openLock(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path)
  } catch (error) {
    throw storeFailed('open', path, error)
  }
}

// Renamed into place, so that nobody reads half of it. It need not survive a power cut, and a full
// disk must not keep a daemon from starting.
function writeHolder(folder: string): void {
  const holder: Holder = { pid: process.pid, host: hostname() }
  const fresh = `${holderPath(folder)}.new`
  try {
    writeFileSync(fresh, `${JSON.stringify(holder)}\n`, { mode: 0o600 })
    renameSync(fresh, holderPath(folder))
  } catch {
    rmSync(holderPath(folder), { force: true }) // Whom it names does not hold it any more.
  }
}

/** undefined: not written yet. */
function readHolder(folder: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(holderPath(folder), 'utf8')) as Holder
  } catch {
    // Not there, or not ours: it is for people only, and the lock speaks for itself.
    return undefined
  }
}

function mayLive({ pid, host }: Holder): boolean {
  if (host !== hostname()) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function locked(folder: string, daemon: string, holder: Holder | undefined): TucanoError {
  const who = holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`
  return new TucanoError(
    'data_locked',
    `the data folder ${folder} is in use by ${who}: stop that ${daemon} first, or give this one ` +
      'a folder of its own',
  )
}

function holderPath(folder: string): string {
  return `${folder}/lock.json`
}
