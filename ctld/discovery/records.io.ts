// Instances, deployments and events in SQLite, one row each: a change costs what it changes, not
// what there is. A database that cannot be trusted is kept aside and started anew with a notice,
// because agents tell again what runs.

import { renameSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { isFinal } from '#ctld/instance.ts'
import { storeFailed } from '#shared/disk.ts'
import { TucanoError } from '#shared/errors.ts'
import type { ClusterEvent, Deployment, Instance } from '#shared/model.ts'
import type { Clock } from '#shared/ports.ts'
import {
  DEPLOYMENTS_MAX,
  EVENTS_MAX,
  INSTANCES_FINAL_MAX,
  isEmpty,
  type RecordChanges,
  type Records,
} from './records.ts'

export const RECORDS_FILE = 'records.db'
const RECORDS_FORMAT = 1
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26
const WAL_BYTES_MAX = 16 * 1024 * 1024

const schema = `
  CREATE TABLE instances (
    id TEXT PRIMARY KEY, final INTEGER NOT NULL, changed_at INTEGER NOT NULL,
    body TEXT NOT NULL, sum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX instances_final ON instances (changed_at, id) WHERE final = 1;
  CREATE TABLE deployments (
    id TEXT PRIMARY KEY, service TEXT NOT NULL, finished INTEGER NOT NULL,
    created_at INTEGER NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX deployments_age ON deployments (created_at, id);
  CREATE INDEX deployments_service ON deployments (service, created_at, id);
  CREATE TABLE events (
    cursor INTEGER PRIMARY KEY, body TEXT NOT NULL, sum INTEGER NOT NULL
  ) STRICT;
  PRAGMA user_version = ${RECORDS_FORMAT};
`

type Row = { body: string; sum: number }

/** Rows or pages that are not what was written. */
class DamagedRecords extends Error {}

/** `isNew`: there was no database, or an empty one. */
export type OpenRecords = { records: Records; isNew: boolean; notices: string[] }

/** The caller holds the folder's lock. Rejects with `store_failed`. */
export function openRecords({
  folder,
  clock,
}: {
  folder: string
  clock: Pick<Clock, 'wall'>
}): OpenRecords {
  const path = `${folder}/${RECORDS_FILE}`
  try {
    return { ...openChecked(path), notices: [] }
  } catch (error) {
    if (!isDamage(error)) throw storeFailed('open', path, error)
    const notice = keepAside(path, clock.wall(), error)
    return { ...openChecked(path), isNew: false, notices: [notice] }
  }
}

function openChecked(path: string): { records: Records; isNew: boolean } {
  const database = new DatabaseSync(path)
  try {
    database.exec(`
      PRAGMA locking_mode = exclusive;
      PRAGMA journal_mode = wal;
      PRAGMA synchronous = full;
      PRAGMA journal_size_limit = ${WAL_BYTES_MAX};
    `)
    const isNew = prepareSchema(database, path)
    if (!isNew) check(database)
    return { records: createRecords(database, path), isNew }
  } catch (error) {
    database.close()
    throw error
  }
}

/** true: the tables were made now. */
function prepareSchema(database: DatabaseSync, path: string): boolean {
  const format = Number(database.prepare('PRAGMA user_version').get()?.user_version)
  if (format === RECORDS_FORMAT) return false
  if (format !== 0) {
    throw new TucanoError(
      'store_failed',
      `${path} has format ${format}; this version of Tucano reads format ${RECORDS_FORMAT}: ` +
        'start the version that wrote it, or restore the folder from before the change',
    )
  }
  transact(database, () => database.exec(schema))
  return true
}

function check(database: DatabaseSync): void {
  const verdict = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0]
  // Its first line only names the database.
  if (verdict !== 'ok') throw new DamagedRecords(String(verdict).split('\n').at(-1))
  // SQLite has no checksums of its own: without ours a flipped bit would pass for a fact.
  for (const table of ['instances', 'deployments', 'events']) {
    for (const row of database.prepare(`SELECT body, sum FROM ${table}`).iterate()) {
      readRow(row as Row)
    }
  }
}

function createRecords(database: DatabaseSync, path: string): Records {
  const write = createWriter(database)
  const allInstances = database.prepare('SELECT body, sum FROM instances ORDER BY id')
  const allDeployments = database.prepare('SELECT body, sum FROM deployments ORDER BY id')
  const lastCursor = database.prepare('SELECT max(cursor) AS cursor FROM events')
  const eventsAfter = database.prepare(
    'SELECT body, sum FROM events WHERE cursor > ? ORDER BY cursor LIMIT ?',
  )

  async function reading<T>(read: () => T): Promise<T> {
    try {
      return read()
    } catch (error) {
      throw storeFailed('read', path, error)
    }
  }

  return {
    load: () =>
      reading(() => ({
        instances: (allInstances.all() as Row[]).map((row) => readRow<Instance>(row)),
        deployments: (allDeployments.all() as Row[]).map((row) => readRow<Deployment>(row)),
        lastEventCursor: Number(lastCursor.get()?.cursor ?? 0),
      })),
    async commit(changes) {
      if (isEmpty(changes)) return
      try {
        transact(database, () => write(changes))
      } catch (error) {
        throw storeFailed('save', path, error)
      }
    },
    events: (after, limit) =>
      reading(() =>
        (eventsAfter.all(after, limit) as Row[]).map((row) => readRow<ClusterEvent>(row)),
      ),
    async close() {
      database.close()
    },
  }
}

function createWriter(database: DatabaseSync): (changes: RecordChanges) => void {
  const putInstance = database.prepare('INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?, ?)')
  const putDeployment = database.prepare(
    'INSERT OR REPLACE INTO deployments VALUES (?, ?, ?, ?, ?, ?)',
  )
  const putEvent = database.prepare('INSERT OR REPLACE INTO events VALUES (?, ?, ?)')
  const removeInstance = database.prepare('DELETE FROM instances WHERE id = ?')
  const removeDeployment = database.prepare('DELETE FROM deployments WHERE id = ?')
  const trimInstances = database.prepare(`
    DELETE FROM instances WHERE final = 1 AND (changed_at, id) < (
      SELECT changed_at, id FROM instances WHERE final = 1
      ORDER BY changed_at DESC, id DESC LIMIT 1 OFFSET ${INSTANCES_FINAL_MAX - 1})`)
  const trimDeployments = database.prepare(`
    DELETE FROM deployments WHERE finished = 1 AND (created_at, id) < (
      SELECT created_at, id FROM deployments
      ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ${DEPLOYMENTS_MAX - 1})
    AND (created_at, id) < (
      SELECT created_at, id FROM deployments AS newer WHERE newer.service = deployments.service
      ORDER BY created_at DESC, id DESC LIMIT 1)`)
  const trimEvents = database.prepare(
    `DELETE FROM events WHERE cursor <= (SELECT max(cursor) FROM events) - ${EVENTS_MAX}`,
  )

  return ({ instances, deployments, events }) => {
    for (const instance of instances.put) {
      const { id, changedAt } = instance
      putInstance.run(id, isFinal(instance) ? 1 : 0, changedAt, ...rowOf(instance))
    }
    for (const deployment of deployments.put) {
      const { id, service, createdAt } = deployment
      const isFinished = deployment.finishedAt !== undefined
      putDeployment.run(id, service, isFinished ? 1 : 0, createdAt, ...rowOf(deployment))
    }
    for (const event of events) putEvent.run(event.cursor, ...rowOf(event))
    for (const id of instances.remove) removeInstance.run(id)
    for (const id of deployments.remove) removeDeployment.run(id)
    if (instances.put.some(isFinal)) trimInstances.run()
    if (deployments.put.length > 0) trimDeployments.run()
    if (events.length > 0) trimEvents.run()
  }
}

function transact(database: DatabaseSync, work: () => void): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    work()
    database.exec('COMMIT')
  } catch (error) {
    // A full disk has ended the transaction already.
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function rowOf(value: unknown): [body: string, sum: number] {
  const body = JSON.stringify(value)
  return [body, crc32(body)]
}

function readRow<T>({ body, sum }: Row): T {
  if (crc32(body) !== sum) throw new DamagedRecords('a row does not match its checksum')
  return JSON.parse(body) as T
}

function isDamage(error: unknown): boolean {
  const { errcode } = error as { errcode?: number }
  const primary = (errcode ?? 0) & 0xff
  return error instanceof DamagedRecords || primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB
}

function keepAside(path: string, wall: number, error: unknown): string {
  const aside = `${path}.unreadable-${wall}`
  try {
    renameSync(path, aside)
    // The log goes with its database: beside a new one it would be garbage.
    renameIfThere(`${path}-wal`, `${aside}-wal`)
  } catch (cause) {
    throw storeFailed('keep aside', path, cause)
  }
  const why = error instanceof Error ? error.message : String(error)
  return (
    `${path} could not be read (${why}) and is kept as ${aside}: instances are learnt again ` +
    'from the agents, the history of deployments and events starts anew'
  )
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
