import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openImageStore, UPLOADS_MAX } from '#ctld/images/image-store.io.ts'
import { UNUSED_IMAGES_MAX, unusedImages } from '#ctld/images/image-store.ts'
import type { Log } from '#shared/ports.ts'
import { hostileArchives, writeHostile } from '#test/helpers/hostile-archives.ts'
import { file, tar } from '#test/helpers/tar-writer.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

vi.setConfig({ testTimeout: 30_000 }) // Inflates bombs, on machines that may be busy.

const silent = () => undefined
const log: Log = { debug: silent, info: silent, warn: silent, error: silent }

const imageOf = (text: string) => gzipSync(tar(file('server.ts', text)))
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

async function* upload(...chunks: Uint8Array[]) {
  yield* chunks
}

async function newStore(bytesMax?: number) {
  const folder = temporaryFolder()
  const options = { folder, log, ...(bytesMax === undefined ? {} : { bytesMax }) }
  return { folder, store: await openImageStore(options) }
}

describe('the image store', () => {
  test('gives back what was put, by the digest of its bytes', async () => {
    const { store } = await newStore()
    const image = imageOf('one')
    const put = await store.put(upload(image.subarray(0, 40), image.subarray(40)))
    expect(put).toEqual({ digest: digestOf(image), bytes: image.length })
    expect(await store.has(put.digest)).toBe(true)

    const opened = await store.open(put.digest)
    const chunks = (await opened?.stream.toArray()) as Buffer[]
    expect(Buffer.concat(chunks)).toEqual(image)
    expect(opened?.bytes).toBe(image.length)
  })

  test('has nothing under other names, however they are written', async () => {
    const { store } = await newStore()
    for (const digest of ['', 'sha256:', '../secret', `sha256:../${'a'.repeat(61)}`]) {
      expect(await store.open(digest)).toBeUndefined()
      expect(await store.has(digest)).toBe(false)
    }
    expect(await store.open(`sha256:${'a'.repeat(64)}`)).toBeUndefined()
  })

  test('keeps nothing of an upload with another digest than announced', async () => {
    const { store, folder } = await newStore()
    const wrong = store.put(upload(imageOf('one')), digestOf(imageOf('two')))
    await expect(wrong).rejects.toMatchObject({ code: 'conflict' })
    expect(readdirSync(folder)).toEqual([])
  })

  test('keeps nothing of an upload that is too large', async () => {
    const { store, folder } = await newStore(1_000)
    const endless = async function* () {
      while (true) yield Buffer.alloc(100)
    }
    await expect(store.put(endless())).rejects.toMatchObject({ code: 'too_large' })
    expect(readdirSync(folder)).toEqual([])
  })

  test('keeps nothing of an upload that breaks off', async () => {
    const { store, folder } = await newStore()
    const broken = async function* () {
      yield imageOf('one').subarray(0, 50)
      throw new Error('socket closed')
    }
    await expect(store.put(broken())).rejects.toMatchObject({ code: 'invalid_request' })
    expect(readdirSync(folder)).toEqual([])
  })

  test.each(hostileArchives)('refuses $name and keeps nothing of it', async (hostile) => {
    const { store, folder } = await newStore()
    const bytes = readFileSync(await writeHostile(hostile, temporaryFolder()))
    await expect(store.put(upload(bytes))).rejects.toMatchObject({
      code: 'image_unsafe',
      message: expect.stringMatching(hostile.says),
    })
    expect(readdirSync(folder)).toEqual([])
  })

  test('takes the same image twice and at the same time', async () => {
    const { store, folder } = await newStore()
    await Promise.all([store.put(upload(imageOf('one'))), store.put(upload(imageOf('one')))])
    expect(readdirSync(folder)).toHaveLength(1)
  })

  test('takes a few uploads at the same time and no more', async () => {
    const { store } = await newStore()
    const gate = Promise.withResolvers<void>()
    const slow = async function* () {
      await gate.promise
      yield imageOf('one')
    }
    const uploads = Array.from({ length: UPLOADS_MAX }, () => store.put(slow()))
    await expect(store.put(slow())).rejects.toMatchObject({ code: 'too_many_requests' })
    gate.resolve()
    await Promise.all(uploads)
    await store.put(upload(imageOf('two')))
  })

  test('drops the uploads of a controller that was killed', async () => {
    const { folder } = await newStore()
    writeFileSync(join(folder, 'upload-1234'), 'half')
    const store = await openImageStore({ folder, log })
    expect(readdirSync(folder)).toEqual([])
    expect(await store.list()).toEqual([])
  })

  test('says store_failed when its folder is gone', async () => {
    const { store, folder } = await newStore()
    rmSync(folder, { recursive: true })
    await expect(store.put(upload(imageOf('one')))).rejects.toMatchObject({ code: 'store_failed' })
  })

  test('says store_failed when the disk is full, and works again when it is not', async (context) => {
    const folder = temporaryFolder()
    if (!mountSmallDisk(folder)) {
      // A user without root may go without it; where everything is to be checked it must not.
      expect(process.env.CI, 'the right to mount a tmpfs').toBeUndefined()
      return context.skip('needs the right to mount a tmpfs')
    }
    const store = await openImageStore({ folder, log })
    const full = store.put(upload(Buffer.alloc(2 * 1024 * 1024)))
    await expect(full).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('ENOSPC'),
    })
    expect(readdirSync(folder)).toEqual([])
    await store.put(upload(imageOf('one')))
  })

  test('keeps what is in use and the newest of the rest', async () => {
    const { store, folder } = await newStore()
    const digests: string[] = []
    for (let number = 0; number < UNUSED_IMAGES_MAX + 3; number += 1) {
      const { digest } = await store.put(upload(imageOf(`${number}`)))
      digests.push(digest)
      utimesSync(join(folder, `${digest.slice(7)}.tar.gz`), number, number)
    }
    const gone = await store.prune(new Set([digests[0] ?? '']))
    expect(gone.sort()).toEqual(digests.slice(1, 3).sort())
    expect((await store.list()).map(({ digest }) => digest)).toEqual([
      ...digests.slice(3).reverse(),
      digests[0],
    ])
  })
})

test('unused images go from the oldest', () => {
  const images = ['c', 'b', 'a'].map((digest, at) => ({ digest, bytes: 1, storedAt: 3 - at }))
  expect(unusedImages(images, new Set(), 1)).toEqual(['b', 'a'])
  expect(unusedImages(images, new Set(['a']), 1)).toEqual(['b'])
})

function mountSmallDisk(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    return false
  }
  onTestFinished(() => void execFileSync('umount', [folder]))
  return true
}
