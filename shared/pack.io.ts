// Packs a folder into the .tar.gz that is deployed. The same content gives the same bytes and so
// the same digest: entries are sorted, and times, owners and the umask leave no trace. What is
// refused on arrival is refused here already, with the name of the file.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import ignore from 'ignore'
import { create } from 'tar'
import {
  ENTRIES_MAX,
  type EntryHeader,
  IMAGE_BYTES_MAX,
  MEBIBYTE,
  nothingSeen,
  vetEntry,
} from './archive.ts'
import { vetArchiveFile } from './archive-file.io.ts'
import { messageOf, TucanoError } from './errors.ts'

/**
 * Has the syntax of .gitignore; without one only STAY_AT_HOME does that. node_modules is packed
 * unless it is named there: a service may bring what it needs.
 */
export const IGNORE_FILE = '.tucanoignore'
/** Never packed: history that no program needs, and the tokens that `tucano up` keeps. */
const STAY_AT_HOME = ['.git', '.tucano']

export type PackedImage = {
  /** The .tar.gz. One that `packFolder` made lies in a temporary folder; see `dispose`. */
  file: string
  /** `sha256:` and 64 hex digits of the file. */
  digest: string
  bytes: number
  entries: number
  /** Deletes the temporary file; an archive that was given stays. */
  dispose(): Promise<void>
}

/** Rejects with `invalid_request` (no such folder, empty), `image_unsafe` or `too_large`. */
export async function packFolder(folder: string): Promise<PackedImage> {
  try {
    return await packListed(folder, await listFolder(folder))
  } catch (cause) {
    if (cause instanceof TucanoError) throw cause
    throw new TucanoError('invalid_request', `${folder}: cannot be packed: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/** Takes a .tar.gz as it is, after the same checks. */
export async function takeArchive(file: string): Promise<PackedImage> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new TucanoError('invalid_request', `${file}: cannot be read`, { cause })
  })
  if (found.size > IMAGE_BYTES_MAX) throw tooLarge(file)
  const { entries } = await vetArchiveFile(file)
  return { file, ...(await digestOfFile(file)), entries, dispose: async () => undefined }
}

export async function digestOfFile(path: string): Promise<{ digest: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { digest: `sha256:${hash.digest('hex')}`, bytes }
}

async function packListed(folder: string, headers: readonly EntryHeader[]): Promise<PackedImage> {
  if (headers.every((header) => header.type === 'Directory')) {
    throw new TucanoError('invalid_request', `${folder}: there is no file to pack`)
  }
  const seen = nothingSeen()
  for (const header of headers) vetEntry(header, seen)

  const temporary = await mkdtemp(join(tmpdir(), 'tucano-pack-'))
  const dispose = () => rm(temporary, { recursive: true, force: true })
  try {
    const file = join(temporary, 'image.tar.gz')
    const archive = create(
      {
        cwd: folder,
        gzip: true,
        portable: true,
        mtime: new Date(0),
        // The list is whole, and one job at a time writes it in its order.
        noDirRecurse: true,
        jobs: 1,
        linkCache: new NoLinks(),
      },
      headers.map((header) => `./${header.path}`),
    )
    await pipeline(archive, limited(folder), createWriteStream(file))
    // A file may have changed since it was listed: what counts is what stands in the archive.
    const { entries } = await vetArchiveFile(file)
    return { file, ...(await digestOfFile(file)), entries, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Every file, folder and link that goes into the archive, parents first, sorted by code unit. */
async function listFolder(folder: string): Promise<EntryHeader[]> {
  const rules = ignore().add(STAY_AT_HOME)
  rules.add(await readFile(join(folder, IGNORE_FILE), 'utf8').catch(emptyWhenAbsent))
  const headers: EntryHeader[] = []

  const walk = async (below: string): Promise<void> => {
    const names = await readdir(join(folder, below)).catch((cause: unknown) => {
      throw new TucanoError('invalid_request', `${join(folder, below)}: cannot be read`, { cause })
    })
    for (const name of names.sort()) {
      const path = below === '' ? name : `${below}/${name}`
      const header = await headerOfFile(folder, path)
      const isFolder = header.type === 'Directory'
      if (rules.ignores(isFolder ? `${path}/` : path)) continue
      headers.push(header)
      // One more than allowed is enough for the rules to refuse it.
      if (headers.length > ENTRIES_MAX) return
      if (isFolder) await walk(path)
    }
  }
  await walk('')
  return headers
}

async function headerOfFile(folder: string, path: string): Promise<EntryHeader> {
  const absolute = join(folder, path)
  const found = await lstat(absolute)
  if (found.isDirectory()) return { path, type: 'Directory', size: 0 }
  if (found.isSymbolicLink()) {
    return { path, type: 'SymbolicLink', size: 0, linkpath: await readlink(absolute) }
  }
  if (found.isFile()) return { path, type: 'File', size: found.size }
  if (found.isFIFO()) return { path, type: 'FIFO', size: 0 }
  return { path, type: found.isSocket() ? 'Socket' : 'CharacterDevice', size: 0 }
}

/** Two names of one file are packed as two files: hard links are refused on arrival. */
class NoLinks extends Map<`${number}:${number}`, string> {
  override get(): undefined {
    return undefined
  }
}

function emptyWhenAbsent(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return ''
  throw error
}

function limited(folder: string): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk, _encoding, done) {
      bytes += chunk.length
      if (bytes > IMAGE_BYTES_MAX) done(tooLarge(folder))
      else done(null, chunk)
    },
  })
}

function tooLarge(what: string): TucanoError {
  const limit = `${IMAGE_BYTES_MAX / MEBIBYTE} MiB`
  const advice = `name what is not needed in ${IGNORE_FILE}`
  return new TucanoError('too_large', `${what}: packs to more than ${limit}; ${advice}`)
}
