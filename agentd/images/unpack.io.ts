// Unpacks an image in two passes: the first vets every entry and writes nothing, the second
// extracts into an empty folder. So a bad entry at the end leaves no good ones behind.

import { mkdir, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ReadEntry, Unpack } from 'tar'
import { nothingSeen, vetEntry } from '#shared/archive.ts'
import { feedArchive, headerOf, strictTar, vetArchiveFile } from '#shared/archive-file.io.ts'

/**
 * Unpacks the .tar.gz `file` into `folder`, which it creates and which must not exist. Rejects
 * with `image_unsafe`, naming the entry; then the folder is gone again.
 */
export async function unpackImage(file: string, folder: string): Promise<void> {
  await vetArchiveFile(file)
  await mkdir(folder, { mode: 0o755 })
  try {
    await extract(file, folder)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

async function extract(file: string, folder: string): Promise<void> {
  const seen = nothingSeen()
  const links: { path: string; target: string }[] = []
  const unpack = new Unpack({
    ...strictTar,
    cwd: folder,
    preserveOwner: false,
    noMtime: true,
    maxDepth: Number.POSITIVE_INFINITY, // vetEntry has a stricter limit of its own.
    filter: (_path, entry) => {
      const header = headerOf(entry as ReadEntry)
      const vetted = vetEntry(header, seen)
      if (vetted.kind === 'link') {
        links.push({ path: vetted.path, target: header.linkpath ?? '' })
        return false
      }
      ;(entry as ReadEntry).mode = vetted.mode
      return vetted.path !== ''
    },
  })
  await feedArchive(file, unpack)
  // Links come last and by hand: while files are written there is no link that one could be
  // written through, and npm `tar` refuses harmless links to links (libx.so -> libx.so.1).
  for (const { path, target } of links) {
    const link = join(folder, path)
    await mkdir(dirname(link), { recursive: true })
    await symlink(target, link)
  }
}
