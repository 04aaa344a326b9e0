// The two tokens of a cluster. A file that is not there yet is made at the first start, readable
// by its owner alone; an existing one is never changed.

import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SecretRef } from '#shared/configuration.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { readToken } from '#shared/read-config.io.ts'

/** The token that `ref` names; a file that does not exist is made with a new one. */
export async function readOrMakeToken(ref: SecretRef): Promise<{ token: string; isNew: boolean }> {
  if ('env' in ref) return { token: await readToken(ref), isNew: false }
  const isNew = await makeToken(ref.file)
  return { token: await readToken(ref), isNew }
}

async function makeToken(file: string): Promise<boolean> {
  const temporary = `${file}.${process.pid}.new`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    {
      await using handle = await open(temporary, 'w', 0o600)
      await handle.writeFile(`${randomBytes(32).toString('hex')}\n`)
      await handle.sync()
    }
    // A link, because it fails when the token is there already; a rename would replace it.
    await link(temporary, file)
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    const words = `cannot make the token file ${file}: ${messageOf(cause)}`
    throw new TucanoError('store_failed', words, { cause })
  } finally {
    await rm(temporary, { force: true })
  }
}
