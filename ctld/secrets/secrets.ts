// The secrets of services: sealed values with versions, in a durable file of their own. They are
// opened only for an order to an agent. A file that is damaged, lost, or sealed by another key
// stops the start with words: it never becomes an empty one.

import type { Secrets } from '#ctld/ports.ts'
import { compare } from '#shared/compare.ts'
import type { Disk } from '#shared/disk.ts'
import { type DurableFile, readDurable, writeDurable } from '#shared/durable-file.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Clock } from '#shared/ports.ts'
import { type AssignedInstance, SECRETS_PER_NODE_MAX, type SecretGiven } from '#shared/wire.ts'
import { fingerprintOf, type Sealed, type SealKey, seal, unseal } from './seal.ts'

export const SECRETS_MAX = 1_000
/** Of all values together, with the former ones that revisions still need. */
export const SECRETS_BYTES_MAX = 2 * 1024 * 1024
export const SECRETS_FILE = 'secrets.json'
const FORMAT = 1

type Version = { version: number; at: number; sealed: Sealed; bytes: number }
type Kept = { name: string; versions: Version[] }
type Document = { key: string; secrets: Kept[] }

export type KeyFile = {
  path: string
  /** undefined: there is none. Rejects when others can read it, or when it is no key. */
  read(): Promise<SealKey | undefined>
  /** Durable when it resolves. */
  write(key: SealKey): Promise<void>
}

export type SecretsPorts = {
  disk: Disk
  clock: Pick<Clock, 'wall'>
  folder: string
  keyFile: KeyFile
  /** Numbers that nobody can guess. */
  randomBytes(count: number): Uint8Array
}

/** Makes the key and the file at the first start. Rejects with `store_failed` and what to do. */
export async function openSecrets(ports: SecretsPorts): Promise<Secrets> {
  const { disk, keyFile, folder } = ports
  const file = fileIn(folder)
  const { value: document, notices } = await readDurable<Document>(ports, file)
  const found = await keyFile.read()
  if (document === undefined && found !== undefined) throw fileLost(pathOf(file), keyFile.path)
  const isEmpty = document === undefined || document.secrets.length === 0
  if (found === undefined && !isEmpty) throw keyLost(pathOf(file), keyFile.path, document)
  const key = found ?? ports.randomBytes(32)
  let kept = document?.secrets ?? []
  if (document === undefined || document.key !== fingerprintOf(key)) {
    if (!isEmpty) throw otherKey(pathOf(file), keyFile.path)
    // The file before the key: a key without its file would look like a loss.
    await writeDurable(disk, file, documentOf(key, kept))
  }
  if (found === undefined) await keyFile.write(key)
  for (const { name, versions } of kept) {
    const broken = versions.some((one) => openOne(key, name, one) === undefined)
    if (broken) throw changed(pathOf(file), name)
  }

  async function write(next: Kept[]): Promise<void> {
    await writeDurable(disk, file, documentOf(key, next))
    kept = next
  }

  return {
    notices,
    list: () =>
      kept.map(({ name, versions }) => ({
        name,
        versions: versions.map(({ version }) => version),
        updatedAt: versions.at(-1)?.at ?? 0,
      })),
    value(name, version) {
      const one = keptOf(kept, name).find((each) => each.version === version)
      return one && openOne(key, name, one)
    },
    async set({ name, value, referenced }, now) {
      const had = keptOf(kept, name)
      const last = had.at(-1)
      if (last !== undefined && openOne(key, name, last) === value) {
        return { version: last.version, isNew: false }
      }
      const version = Math.max(0, last?.version ?? 0, ...referenced) + 1
      const sealed = seal(key, ports.randomBytes(12), aboutOf(name, version), value)
      const made = { version, at: now, sealed, bytes: Buffer.byteLength(value) }
      const needed = had.filter((one) => referenced.has(one.version))
      const others = kept.filter((one) => one.name !== name)
      const next = [...others, { name, versions: [...needed, made] }]
      refuseTooMany(next)
      await write(next.sort((a, b) => compare(a.name, b.name)))
      return { version, isNew: true }
    },
    async remove(name) {
      const next = kept.filter((one) => one.name !== name)
      await write(next)
      // Once more, so that the backup does not keep it either.
      await write(next)
    },
  }
}

/** As the rest of the controller knows them. */
export function versionsOf(secrets: Secrets): ReadonlyMap<string, readonly number[]> {
  return new Map(secrets.list().map(({ name, versions }) => [name, versions]))
}

/** Values of all that these instances get, each once; what is gone is left out. */
export function valuesFor(secrets: Secrets, instances: readonly AssignedInstance[]): SecretGiven[] {
  const uses = instances
    .filter(({ want }) => want === 'run')
    .flatMap((instance) => instance.secrets ?? [])
  const wanted = new Map(uses.map(({ name, version }) => [`${name} ${version}`, { name, version }]))
  return [...wanted.values()].flatMap(({ name, version }) => {
    const value = secrets.value(name, version)
    return value === undefined ? [] : [{ name, version, value }]
  })
}

function fileIn(folder: string): DurableFile {
  const name = SECRETS_FILE
  return { folder, name, kind: 'secrets', format: FORMAT, backup: true, whenLost: 'refuse' }
}

const pathOf = ({ folder, name }: DurableFile) => `${folder}/${name}`

/** A value that stands in another's place, or as another version, does not open. */
const aboutOf = (name: string, version: number) => `secret ${name} ${version}`

function openOne(key: SealKey, name: string, { version, sealed }: Version): string | undefined {
  return unseal(key, aboutOf(name, version), sealed)
}

function documentOf(key: SealKey, secrets: Kept[]): Document {
  return { key: fingerprintOf(key), secrets }
}

function keptOf(kept: readonly Kept[], name: string): Version[] {
  return kept.find((one) => one.name === name)?.versions ?? []
}

function refuseTooMany(kept: readonly Kept[]): void {
  if (kept.length > SECRETS_MAX) {
    throw new TucanoError('limit_reached', `there are ${SECRETS_MAX} secrets already`)
  }
  const versions = kept.flatMap((one) => one.versions)
  const bytes = versions.reduce((sum, version) => sum + version.bytes, 0)
  if (bytes <= SECRETS_BYTES_MAX && versions.length <= SECRETS_PER_NODE_MAX) return
  throw new TucanoError(
    'limit_reached',
    `all secrets would be ${versions.length} values of ${bytes} bytes together, at most ` +
      `${SECRETS_PER_NODE_MAX} and ${SECRETS_BYTES_MAX}: remove some, see tucano secret ls`,
  )
}

function fileLost(file: string, keyFile: string): TucanoError {
  return failed(
    `${file} is missing, but its key ${keyFile} is there: restore it from a backup, or move the ` +
      'key away to start without any secret',
  )
}

function keyLost(file: string, keyFile: string, { secrets, key }: Document): TucanoError {
  return failed(
    `${keyFile} is missing, and the ${secrets.length} secrets in ${file} cannot be read without ` +
      `it: restore it from a backup (its fingerprint is ${key}), or move ${file} and its .bak ` +
      'away and set the secrets again',
  )
}

function otherKey(file: string, keyFile: string): TucanoError {
  return failed(
    `${keyFile} is not the key that sealed ${file}: restore the key that belongs to it, or move ` +
      `${file} and its .bak away and set the secrets again`,
  )
}

function changed(file: string, name: string): TucanoError {
  return failed(
    `the secret ${name} in ${file} was changed by somebody else: restore the file from a backup, ` +
      'or move it and its .bak away and set the secrets again',
  )
}

const failed = (words: string) => new TucanoError('store_failed', words)
