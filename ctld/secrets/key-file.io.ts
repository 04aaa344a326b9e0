// The key that seals the secrets, in a file of mode 0600 beside what it seals. It is made once and
// never changed.

import { link, open, rm } from 'node:fs/promises'
import { machineDisk } from '#shared/disk.io.ts'
import { storeFailed } from '#shared/disk.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { KEY_BYTES } from './seal.ts'
import type { KeyFile } from './secrets.ts'

export const KEY_FILE = 'secrets.key'
const KEY_TEXT = new RegExp(`^[0-9a-f]{${2 * KEY_BYTES}}\\n?$`)

export function keyFileIn(folder: string): KeyFile {
  const path = `${folder}/${KEY_FILE}`
  return { path, read: () => readKey(path), write: (key) => writeKey(folder, path, key) }
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  try {
    await using handle = await open(path)
    const { mode } = await handle.stat()
    if ((mode & 0o077) !== 0) {
      const seen = (mode & 0o777).toString(8)
      const what = `${path} has mode ${seen}: others can read the key; run: chmod 600 ${path}`
      throw new TucanoError('store_failed', what)
    }
    const text = await handle.readFile('latin1')
    if (KEY_TEXT.test(text)) return Buffer.from(text.trim(), 'hex')
    const what = `${path} is not a key (${2 * KEY_BYTES} hex digits): restore it from a backup`
    throw new TucanoError('store_failed', what)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw storeFailed('read', path, cause)
  }
}

async function writeKey(folder: string, path: string, key: Readonly<Uint8Array>): Promise<void> {
  const fresh = `${path}.new`
  try {
    await machineDisk.remove(fresh)
    await machineDisk.write(fresh, Buffer.from(`${Buffer.from(key).toString('hex')}\n`))
    // A link, because it fails where there is a key already; a rename would replace it.
    await link(fresh, path)
    await machineDisk.syncFolder(folder)
  } catch (cause) {
    const words = `cannot make the key file ${path}: ${messageOf(cause)}`
    throw new TucanoError('store_failed', words, { cause })
  } finally {
    await rm(fresh, { force: true })
  }
}
