// The service that a command line names: its service.yaml, and the program that it points to.

import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { readServiceFile } from '#shared/read-config.io.ts'
import { CONCURRENCY_MAX } from '#shared/service-schema.ts'
import type { Context, OptionSpec } from './command.ts'
import { countOf } from './numbers.ts'

export const SERVICE_FILE = 'service.yaml'

export const concurrencyOption: OptionSpec = {
  name: 'concurrency',
  value: 'N',
  summary: 'instances, instead of what the file says',
}

export async function findServiceFile(folder: string, word: string): Promise<string> {
  const path = resolve(folder, word)
  const found = await stat(path).catch(() => {
    throw new TucanoError('usage', `there is no folder or file ${path}`)
  })
  if (!found.isDirectory()) return path
  const file = join(path, SERVICE_FILE)
  await stat(file).catch(() => {
    throw new TucanoError('usage', `there is no ${SERVICE_FILE} in ${path}`)
  })
  return file
}

/** The configuration that the first word leads to; its program is there. */
export async function readConfig(context: Context): Promise<ServiceConfig> {
  const concurrency = context.flags.text('concurrency')
  const count =
    concurrency === undefined ? undefined : countOf(concurrency, '--concurrency', CONCURRENCY_MAX)
  const file = await findServiceFile(context.folder, context.words[0] ?? '.')
  const config = await readServiceFile(file)
  await requireProgram(file, config)
  return count === undefined ? config : { ...config, concurrency: count }
}

/** Said with the key of the file, where it is mended. */
async function requireProgram(file: string, { image }: ServiceConfig): Promise<void> {
  for (const key of ['path', 'archive'] as const) {
    const place = image[key]
    if (place === undefined) continue
    // Why it cannot be looked at is said by the same words: it is not there for this user.
    const found = await stat(place).catch(() => undefined)
    const isIt = key === 'path' ? found?.isDirectory() : found?.isFile()
    if (isIt === true) continue
    const what = key === 'path' ? 'folder' : 'file'
    throw new TucanoError('invalid_config', `${file}: image.${key}: there is no ${what} ${place}`)
  }
}
