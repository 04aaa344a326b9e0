// Reads a packed image (.tar.gz) as a stream, with every limit held while it inflates: a bomb is
// dropped at the limit, a damaged file is refused, and memory stays at a few buffers. Inflating
// happens in the thread pool, in pieces, so the event loop is never held for long.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { Parser, type ReadEntry } from 'tar'
import {
  type EntryHeader,
  META_BYTES_MAX,
  nothingSeen,
  unsafe,
  vetEntry,
  vetInflation,
} from './archive.ts'
import { messageOf, TucanoError } from './errors.ts'

/** Options under which npm `tar` neither guesses another compression nor lets a fault pass. */
export const strictTar = {
  strict: true,
  brotli: false,
  zstd: false,
  maxMetaEntrySize: META_BYTES_MAX,
} as const

/** Vets the file at `path`; rejects with `image_unsafe`, naming the entry and the reason. */
export async function vetArchiveFile(path: string): Promise<{ entries: number; bytes: number }> {
  const seen = nothingSeen()
  const parser = new Parser({
    ...strictTar,
    // Called for each entry while its header is read, so that its throw ends the reading at once.
    filter: (_path, entry) => vetEntry(headerOf(entry as ReadEntry), seen) !== undefined,
    onReadEntry: (entry) => entry.resume(),
  })
  parser.on('ignoredEntry', (entry: ReadEntry) => vetEntry(headerOf(entry), seen))
  await feedArchive(path, parser)
  return { entries: seen.entries, bytes: seen.bytes }
}

/** Feeds the inflated archive to a tar parser and resolves when the parser is done. */
export async function feedArchive(path: string, parser: Parser): Promise<void> {
  const packedBytes = (await stat(path)).size
  const source = createReadStream(path)
  const gunzip = createGunzip()
  // `pipe` hands over no error; `destroy` makes the reading loop below throw it.
  source.on('error', (error) => gunzip.destroy(error))
  const done = new Promise<void>((resolve, reject) => {
    parser.on('end', resolve)
    parser.on('error', reject)
  })
  done.catch(() => undefined) // It is awaited below, unless another error comes first.
  try {
    let inflatedBytes = 0
    for await (const chunk of source.pipe(gunzip)) {
      inflatedBytes += chunk.length
      vetInflation(packedBytes, inflatedBytes)
      if (!parser.write(chunk)) await Promise.race([drained(parser), done])
    }
    parser.end()
    await done
  } catch (error) {
    throw archiveError(error)
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}

export function headerOf(entry: ReadEntry): EntryHeader {
  const { path, type, size, mode, linkpath } = entry
  return { path, type, size, mode, linkpath }
}

function drained(parser: Parser): Promise<void> {
  return new Promise((resolve) => parser.once('drain', resolve))
}

function archiveError(error: unknown): unknown {
  if (error instanceof TucanoError) return error
  const { code, header, entry, tarCode } = error as {
    code?: unknown
    tarCode?: unknown
    header?: { path?: string }
    entry?: { path?: string }
  }
  const name = header?.path ?? entry?.path
  if (typeof tarCode === 'string') {
    if (name !== undefined) return unsafe(name, messageOf(error))
    return new TucanoError('image_unsafe', `not a tar archive: ${messageOf(error)}`)
  }
  if (code === 'Z_DATA_ERROR' || code === 'Z_BUF_ERROR') {
    const what = code === 'Z_BUF_ERROR' ? 'the archive is cut off' : 'not a whole gzip file'
    return new TucanoError('image_unsafe', `${what}: ${messageOf(error)}`)
  }
  return error
}
