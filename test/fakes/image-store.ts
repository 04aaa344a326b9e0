// An image store in memory.

import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { ImageStore } from '#ctld/images/image-store.ts'
import { TucanoError } from '#shared/errors.ts'

export type FakeImageStore = ImageStore & { files: Map<string, Buffer> }

export function createFakeImageStore(...digests: string[]): FakeImageStore {
  const files = new Map(digests.map((digest) => [digest, Buffer.from('packed')]))
  return {
    files,
    async put(upload, expected) {
      const chunks: Uint8Array[] = []
      for await (const chunk of upload) chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
      if (expected !== undefined && expected !== digest) {
        throw new TucanoError('conflict', `the bytes are ${digest}, not ${expected}`)
      }
      files.set(digest, bytes)
      return { digest, bytes: bytes.length }
    },
    async open(digest) {
      const bytes = files.get(digest)
      return bytes && { stream: Readable.from([bytes]), bytes: bytes.length }
    },
    has: async (digest) => files.has(digest),
    list: async () =>
      [...files].map(([digest, { length }]) => ({ digest, bytes: length, storedAt: 1_000 })),
    prune: async () => [],
  }
}
