// Keeps one JSON value in one file through crashes, power cuts and damaged disks. A write is
// whole or did not happen; a read never mistakes a torn, flipped, emptied or foreign file for a
// value: it loads the former content and says so, or it refuses.

import { createHash } from 'node:crypto'
import { assert, unreachable } from './assert.ts'
import { type Disk, storeFailed } from './disk.ts'
import { TucanoError } from './errors.ts'
import type { Clock } from './ports.ts'

export type DurableFile = {
  folder: string
  name: string
  /** What the value is; a file of another kind is not taken for it. */
  kind: string
  format: number
  /** Keep the former content as `<name>.bak`. */
  backup: boolean
  /** When nothing of it can be read any more: refuse, or go on without it, with a notice. */
  whenLost: 'refuse' | 'forget'
}

export type Reading<T> = {
  /** undefined: there is none yet, or it is lost and may be forgotten. */
  value: T | undefined
  /** What the user must be told. */
  notices: string[]
}

type Content<T> =
  | { state: 'good'; value: T }
  | { state: 'absent' }
  | { state: 'damaged'; why: string }

/** The first of two lines; the value is the second. It never changes: a newer file is no damage. */
const HEADER = /^\{"tucano":"([a-z]+)","format":(\d+),"bytes":(\d+),"sha256":"([0-9a-f]{64})"\}$/
const NEWLINE = 0x0a

/** Durable when it resolves. Rejects with `store_failed`: the file holds the old or the new. */
export async function writeDurable(disk: Disk, file: DurableFile, value: unknown): Promise<void> {
  const path = pathOf(file)
  const fresh = `${path}.new`
  try {
    await disk.write(fresh, encode(file, value))
    if (file.backup) await keepBackup(disk, path)
    await disk.rename(fresh, path)
    await disk.syncFolder(file.folder)
  } catch (error) {
    // Gives the space back; the failure that matters is the first one.
    await disk.remove(fresh).catch(() => {})
    throw storeFailed('save', path, error)
  }
}

/**
 * Reads the file or, when it is damaged, its backup. What is damaged is kept aside as
 * `<name>.unreadable-<wall>`, but only once something else can stand in for it: a start that is
 * refused must be refused the next time too. Rejects with `store_failed`, also for a file of
 * another format.
 */
export async function readDurable<T>(
  ports: { disk: Disk; clock: Pick<Clock, 'wall'> },
  file: DurableFile,
): Promise<Reading<T>> {
  const path = pathOf(file)
  const main = await examine<T>(ports.disk, file, path)
  if (main.state === 'good') return { value: main.value, notices: [] }

  const backup = await examineBackup<T>(ports.disk, file)
  if (main.state === 'absent' && backup.state === 'absent') return { value: undefined, notices: [] }
  if (backup.state !== 'good' && file.whenLost === 'refuse') throw lost(path, main, backup)

  const notices: string[] = []
  for (const [at, content] of [
    [path, main],
    [backupOf(path), backup],
  ] as const) {
    if (content.state === 'damaged') notices.push(await keepAside(ports, at, content.why))
  }
  await ports.disk.syncFolder(file.folder)
  if (backup.state !== 'good') return { value: undefined, notices }
  if (main.state === 'absent') notices.push(`${path} is missing`)
  notices.push(
    `the backup ${backupOf(path)} was loaded instead: the last change of ${path} may be missing`,
  )
  return { value: backup.value, notices }
}

/** It is gone for good, with its backup, when it resolves. */
export async function removeDurable(disk: Disk, file: DurableFile): Promise<void> {
  const path = pathOf(file)
  try {
    if (file.backup) {
      await disk.remove(backupOf(path))
      // Else a power cut could leave the backup alone, and it would come back as the value.
      await disk.syncFolder(file.folder)
    }
    await disk.remove(path)
    await disk.syncFolder(file.folder)
  } catch (error) {
    throw storeFailed('remove', path, error)
  }
}

// A link and two renames, so that at no instant either of the two names is without content.
async function keepBackup(disk: Disk, path: string): Promise<void> {
  const fresh = `${backupOf(path)}.new`
  await disk.remove(fresh)
  if (await disk.link(path, fresh)) await disk.rename(fresh, backupOf(path))
}

async function keepAside(
  { disk, clock }: { disk: Disk; clock: Pick<Clock, 'wall'> },
  path: string,
  why: string,
): Promise<string> {
  const aside = `${path}.unreadable-${clock.wall()}`
  try {
    await disk.rename(path, aside)
  } catch (error) {
    throw storeFailed('keep aside', path, error)
  }
  return `${path} could not be read (${why}) and is kept as ${aside}`
}

async function examineBackup<T>(disk: Disk, file: DurableFile): Promise<Content<T>> {
  if (!file.backup) return { state: 'absent' }
  return examine<T>(disk, file, backupOf(pathOf(file)))
}

async function examine<T>(disk: Disk, file: DurableFile, path: string): Promise<Content<T>> {
  try {
    const bytes = await disk.read(path)
    return bytes === undefined ? { state: 'absent' } : decode<T>(file, path, bytes)
  } catch (error) {
    // A bad sector is damage like any other; a missing permission is not.
    if ((error as { code?: unknown }).code === 'EIO') return { state: 'damaged', why: 'read error' }
    throw storeFailed('read', path, error)
  }
}

function encode(file: DurableFile, value: unknown): Uint8Array {
  const json = JSON.stringify(value)
  assert(json !== undefined, `a value of ${file.kind} can be written as JSON`)
  const body = Buffer.from(`${json}\n`)
  const sum = checksum(file.kind, file.format, body)
  const header = `{"tucano":"${file.kind}","format":${file.format},"bytes":${body.length},"sha256":"${sum}"}\n`
  return Buffer.concat([Buffer.from(header), body])
}

function decode<T>(file: DurableFile, path: string, bytes: Uint8Array): Content<T> {
  if (bytes.length === 0) return damaged('it is empty')
  const end = bytes.indexOf(NEWLINE)
  const header = HEADER.exec(Buffer.from(bytes.subarray(0, Math.max(end, 0))).toString('latin1'))
  if (header === null) return damaged('its first line is not a header')

  const [, kind = '', format = '', length = '', sum = ''] = header
  const body = bytes.subarray(end + 1)
  if (body.length !== Number(length)) {
    return damaged(`it has ${body.length} bytes of ${length}`)
  }
  if (checksum(kind, Number(format), body) !== sum) return damaged('its checksum does not match')
  if (kind !== file.kind) return damaged(`it holds "${kind}", not "${file.kind}"`)
  if (Number(format) !== file.format) throw otherFormat(file, path, Number(format))
  return { state: 'good', value: JSON.parse(Buffer.from(body).toString('utf8')) as T }
}

// Kind and format are summed too: a flipped bit must not pass for a newer version.
function checksum(kind: string, format: number, body: Uint8Array): string {
  return createHash('sha256').update(`${kind} ${format}\n`).update(body).digest('hex')
}

function damaged(why: string): { state: 'damaged'; why: string } {
  return { state: 'damaged', why }
}

function otherFormat(file: DurableFile, path: string, format: number): TucanoError {
  const age = format > file.format ? 'a newer' : 'an older'
  return new TucanoError(
    'store_failed',
    `${path} has format ${format}, written by ${age} version of Tucano; this one reads format ` +
      `${file.format}: start the version that wrote it, or restore the folder from before the change`,
  )
}

function lost(path: string, main: Content<unknown>, backup: Content<unknown>): TucanoError {
  return new TucanoError(
    'store_failed',
    `neither ${path} (${stateOf(main)}) nor ${backupOf(path)} (${stateOf(backup)}) can be read: ` +
      `restore one of them from a backup, or move both away to start with nothing`,
  )
}

function stateOf(content: Content<unknown>): string {
  switch (content.state) {
    case 'good':
      return 'good'
    case 'absent':
      return 'missing'
    case 'damaged':
      return content.why
    default:
      return unreachable(content)
  }
}

function pathOf(file: DurableFile): string {
  return `${file.folder}/${file.name}`
}

function backupOf(path: string): string {
  return `${path}.bak`
}
