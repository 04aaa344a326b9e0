// Images as files of one folder, `<64 hex digits>.tar.gz`. An upload goes to a file of its own,
// is hashed on its way, vetted, made durable and only then given its name, so that a name always
// means whole, harmless bytes, whenever the controller is killed.

import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { IMAGE_BYTES_MAX, MEBIBYTE } from '#shared/archive.ts'
import { vetArchiveFile } from '#shared/archive-file.io.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import type { Log } from '#shared/ports.ts'
import { DIGEST_PATTERN } from '#shared/wire.ts'
import { type ImageStore, type StoredImage, unusedImages } from './image-store.ts'

const FILE_PATTERN = /^([0-9a-f]{64})\.tar\.gz$/
const UPLOAD_PREFIX = 'upload-'
/** Each may hold IMAGE_BYTES_MAX of the disk until it is vetted. */
export const UPLOADS_MAX = 4

export type ImageStoreOptions = { folder: string; log: Log; bytesMax?: number }

/** Opens the store, creating its folder and dropping uploads that a former process left. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const { folder, log, bytesMax = IMAGE_BYTES_MAX } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    if (name.startsWith(UPLOAD_PREFIX)) await rm(join(folder, name), { force: true })
  }
  const fileOf = (digest: string) => join(folder, `${digest.slice('sha256:'.length)}.tar.gz`)
  let uploadCount = 0

  const store: ImageStore = {
    async put(upload, expectedDigest) {
      if (uploadCount >= UPLOADS_MAX) {
        throw new TucanoError('too_many_requests', `${UPLOADS_MAX} uploads are under way`)
      }
      uploadCount += 1
      const temporary = join(folder, `${UPLOAD_PREFIX}${randomUUID()}`)
      try {
        const { digest, bytes } = await receive(upload, temporary, bytesMax)
        if (expectedDigest !== undefined && expectedDigest !== digest) {
          throw new TucanoError('conflict', `the upload is ${digest}, not ${expectedDigest}`)
        }
        await vetArchiveFile(temporary)
        await keep(temporary, fileOf(digest), folder)
        log.info({ digest, bytes }, 'image stored')
        return { digest, bytes }
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined) // The next start drops it.
        throw asStoreError(error)
      } finally {
        uploadCount -= 1
      }
    },

    async open(digest) {
      if (!DIGEST_PATTERN.test(digest)) return undefined
      const handle = await open(fileOf(digest), 'r').catch(undefinedWhenAbsent)
      if (handle === undefined) return undefined
      const bytes = (await handle.stat()).size
      return { stream: handle.createReadStream(), bytes }
    },

    async has(digest) {
      if (!DIGEST_PATTERN.test(digest)) return false
      return (await stat(fileOf(digest)).catch(undefinedWhenAbsent)) !== undefined
    },

    list: () => listImages(folder),

    async prune(inUse) {
      const gone = unusedImages(await store.list(), inUse)
      for (const digest of gone) {
        await rm(fileOf(digest), { force: true })
        log.info({ digest }, 'image deleted: no service uses it')
      }
      return gone
    },
  }
  return store
}

async function listImages(folder: string): Promise<StoredImage[]> {
  const images: StoredImage[] = []
  for (const name of await readdir(folder)) {
    const hex = FILE_PATTERN.exec(name)?.[1]
    if (hex === undefined) continue
    const found = await stat(join(folder, name)).catch(undefinedWhenAbsent)
    if (found === undefined) continue
    images.push({ digest: `sha256:${hex}`, bytes: found.size, storedAt: found.mtimeMs })
  }
  return images.sort((a, b) => b.storedAt - a.storedAt || (a.digest < b.digest ? -1 : 1))
}

async function receive(
  upload: AsyncIterable<Uint8Array>,
  file: string,
  bytesMax: number,
): Promise<{ digest: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  await using handle = await open(file, 'wx', 0o600)
  for await (const chunk of watched(upload)) {
    bytes += chunk.length
    if (bytes > bytesMax) {
      const limit = Math.floor(bytesMax / MEBIBYTE)
      throw new TucanoError('too_large', `the image is larger than ${limit} MiB`)
    }
    hash.update(chunk)
    await writeAll(handle, chunk)
  }
  await handle.sync()
  return { digest: `sha256:${hash.digest('hex')}`, bytes }
}

/** Tells a sender that broke off from a disk that failed. */
async function* watched(upload: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const iterator = upload[Symbol.asyncIterator]()
  try {
    while (true) {
      const next = await iterator.next().catch((cause: unknown) => {
        if (cause instanceof TucanoError) throw cause
        throw new TucanoError('invalid_request', 'the upload broke off', { cause })
      })
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await iterator.return?.()
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    at += (await handle.write(chunk, at, chunk.length - at)).bytesWritten
  }
}

/** The same bytes again are as good as new: `prune` counts from the last upload. */
async function keep(temporary: string, file: string, folder: string): Promise<void> {
  const now = new Date()
  await utimes(temporary, now, now)
  await rename(temporary, file)
  await using handle = await open(folder, 'r')
  await handle.sync()
}

function asStoreError(error: unknown): TucanoError {
  if (error instanceof TucanoError) return error
  return new TucanoError('store_failed', `the image cannot be stored: ${messageOf(error)}`, {
    cause: error,
  })
}

function undefinedWhenAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw asStoreError(error)
}
