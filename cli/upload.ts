// Packs or takes what a service.yaml names and brings it to the controller, unless it is there
// already: an image is known by the digest of its bytes.

import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageSpec } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { IGNORE_FILE, type PackedImage, packFolder, takeArchive } from '#shared/pack.io.ts'
import type { Client } from './client.ts'
import type { Context } from './command.ts'
import { bytesText } from './words.ts'

const SLOW_MS = 1_000

/** Gives the digest under which the controller has the image. */
export async function bringImage(
  { screen }: Pick<Context, 'screen'>,
  client: Client,
  image: ImageSpec,
): Promise<string> {
  const packed = await tellAndPack({ screen }, image)
  try {
    if (await client.exists(`/v1/images/${packed.digest}`)) {
      screen.note(`the controller has the image already (${bytesText(packed.bytes)})`)
      return packed.digest
    }
    await send({ screen }, client, packed)
    return packed.digest
  } finally {
    await packed.dispose()
  }
}

/** The digest that it would have there; nothing is sent. */
export async function digestOf(
  { screen }: Pick<Context, 'screen'>,
  image: ImageSpec,
): Promise<string> {
  const packed = await tellAndPack({ screen }, image)
  await packed.dispose()
  return packed.digest
}

async function tellAndPack(
  { screen }: Pick<Context, 'screen'>,
  image: ImageSpec,
): Promise<PackedImage> {
  const what = image.path ?? image.archive ?? ''
  screen.status(`packing ${what}`)
  const slow = setTimeout(() => screen.note(`packing ${what}`), SLOW_MS)
  return pack(image).finally(() => {
    clearTimeout(slow)
    screen.status('')
  })
}

async function pack({ path, archive }: ImageSpec): Promise<PackedImage> {
  if (archive !== undefined) return takeArchive(archive)
  if (path === undefined) throw new Error('an image of a file has neither path nor archive')
  await refuseOwnState(path)
  return packFolder(path)
}

/** A folder in which `tucano up` was called holds the tokens of its cluster. */
async function refuseOwnState(folder: string): Promise<void> {
  const context = join(folder, '.tucano', 'context.json')
  if (
    await access(context).then(
      () => false,
      () => true,
    )
  )
    return
  const rules = await readFile(join(folder, IGNORE_FILE), 'utf8').catch(() => '')
  if (rules.split('\n').some((rule) => /^\/?\.tucano\/?\s*$/.test(rule))) return
  throw new TucanoError(
    'invalid_config',
    `${folder} holds .tucano, the state and the tokens of a cluster, which must not be packed: ` +
      `write the line .tucano into ${join(folder, IGNORE_FILE)}`,
  )
}

async function send(
  { screen }: Pick<Context, 'screen'>,
  client: Client,
  { file, digest, bytes }: PackedImage,
): Promise<void> {
  const size = bytesText(bytes)
  const startedAt = performance.now()
  let told = 0
  await client.upload(`/v1/images?digest=${digest}`, file, (sent) => {
    const percent = Math.floor((sent / bytes) * 100)
    screen.status(`uploading ${size}: ${percent} %`)
    // Where nothing is redrawn: a line every quarter, once it takes longer than a moment.
    const quarter = Math.floor(percent / 25)
    if (quarter > told && performance.now() - startedAt > SLOW_MS) {
      told = quarter
      screen.note(`uploading ${size}: ${percent} %`)
    }
  })
  screen.status('')
  screen.note(`uploaded ${size}`)
}
