// The port to the controller's images: packed archives, each kept under the digest of its bytes.

import type { Readable } from 'node:stream'

export type StoredImage = {
  digest: string
  bytes: number
  /** Wall clock, ms since 1970, of the last upload of these bytes. */
  storedAt: number
}

export type ImageStore = {
  /**
   * Takes an upload; durable when it resolves. Nothing stays of one that is refused: `too_large`,
   * `too_many_requests`, `image_unsafe`, `conflict` (not the expected digest), `store_failed`
   * (disk full or broken), `invalid_request` (the sender broke off).
   */
  put(
    upload: AsyncIterable<Uint8Array>,
    expectedDigest?: string,
  ): Promise<{ digest: string; bytes: number }>
  /** undefined: there is no such image. Whoever opens it reads it to its end or destroys it. */
  open(digest: string): Promise<{ stream: Readable; bytes: number } | undefined>
  has(digest: string): Promise<boolean>
  /** Newest first. */
  list(): Promise<StoredImage[]>
  /** Deletes all but those in use and the newest of the others; resolves to what is gone. */
  prune(inUse: ReadonlySet<string>): Promise<string[]>
}

/** Images kept although no service uses them: for going back, and for a deploy under way. */
export const UNUSED_IMAGES_MAX = 10

/** Decides which images go: `images` newest first, as `list` gives them. */
export function unusedImages(
  images: readonly StoredImage[],
  inUse: ReadonlySet<string>,
  keep: number = UNUSED_IMAGES_MAX,
): string[] {
  const unused = images.filter((image) => !inUse.has(image.digest))
  return unused.slice(keep).map((image) => image.digest)
}
