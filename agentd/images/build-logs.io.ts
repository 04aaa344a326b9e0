// The output of the last build of each key, also of a failed one. The oldest go.

import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { tail } from '#agentd/runner/log-file.io.ts'

export const BUILD_LOGS_MAX = 50

export async function openBuildLogs(folder: string) {
  await mkdir(folder, { recursive: true, mode: 0o700 })

  async function newestFirst(): Promise<string[]> {
    const files: { name: string; at: number }[] = []
    for (const name of await readdir(folder)) {
      // One that was deleted meanwhile is the oldest there is.
      const at = await stat(join(folder, name)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      )
      files.push({ name, at })
    }
    return files.sort((a, b) => b.at - a.at).map(({ name }) => name)
  }

  return {
    fileOf: (key: string) => join(folder, `${key}.log`),

    /** Last lines of the newest build of a digest, oldest first; undefined: none was kept. */
    async tailOf(digest: string, lines: number): Promise<string[] | undefined> {
      const prefix = `${digest.slice('sha256:'.length)}-`
      const newest = (await newestFirst()).find((name) => name.startsWith(prefix))
      return newest === undefined ? undefined : tail(join(folder, newest), lines)
    },

    async sweep(): Promise<void> {
      for (const name of (await newestFirst()).slice(BUILD_LOGS_MAX)) {
        await rm(join(folder, name), { force: true })
      }
    },
  }
}
