// The file of the controller's configuration: read, written durably when a change came by the
// API, and watched, so that an edit by hand is taken up without a restart (Q13).

import { watch } from 'node:fs'
import { chmod, open, rename, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { readText } from '#shared/read-config.io.ts'

/** Editors write a file in several steps; it is read when it has been quiet for so long. */
const QUIET_MS = 200

/** Replaces the file's content in one step; its permissions stay. Rejects with `store_failed`. */
export async function writeConfigFile(file: string, text: string): Promise<void> {
  const temporary = join(dirname(file), `.${basename(file)}.new`)
  try {
    const { mode } = await stat(file)
    {
      await using handle = await open(temporary, 'w', 0o600)
      await handle.writeFile(text)
      await handle.sync()
    }
    await chmod(temporary, mode & 0o777)
    await rename(temporary, file)
    await using folder = await open(dirname(file), 'r')
    await folder.sync()
  } catch (cause) {
    const words = `cannot write ${file}: ${messageOf(cause)}; nothing was changed`
    throw new TucanoError('store_failed', words, { cause })
  }
}

/** Calls with the text after each change of the file; one that is gone for a moment is awaited. */
export function watchConfigFile(
  file: string,
  onText: (text: string) => void,
  onError: (error: unknown) => void,
): Disposable {
  let timer: NodeJS.Timeout | undefined
  // The folder is watched: an editor that replaces the file would take a watch on it away.
  const watcher = watch(dirname(file), (_, name) => {
    if (name !== null && name !== basename(file)) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      readText(file).then(onText, onError)
    }, QUIET_MS)
  })
  watcher.on('error', onError)
  return {
    [Symbol.dispose]() {
      clearTimeout(timer)
      watcher.close()
    },
  }
}
