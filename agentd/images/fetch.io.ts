// Downloads an image from the controller and checks, byte by byte on its way, that it is the one
// that was asked for. A controller that hangs costs at most the progress deadline.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { IMAGE_BYTES_MAX } from '#shared/archive.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'

export type FetchOptions = {
  /** `http://ip:port` of the controller. */
  controller: string
  /** Called for each download, so that a renewed token is used. */
  token: () => string
  totalMs?: number
  /** The longest time without a byte. */
  progressMs?: number
  bytesMax?: number
}

export const FETCH_TOTAL_MS = 10 * 60_000
export const FETCH_PROGRESS_MS = 15_000

/** Rejects with `timeout`, `unavailable`, `not_found`, `too_large` or `image_unsafe`. */
export async function fetchImage(
  options: FetchOptions,
  wanted: { digest: string; file: string; signal: AbortSignal },
): Promise<void> {
  const { totalMs = FETCH_TOTAL_MS, progressMs = FETCH_PROGRESS_MS } = options
  const deadline = new AbortController()
  const late = (why: string) => deadline.abort(new TucanoError('timeout', why))
  const total = setTimeout(late, totalMs, `the image did not arrive within ${totalMs / 1_000} s`)
  const progress = setTimeout(late, progressMs, `no byte for ${progressMs / 1_000} s`)
  const signal = AbortSignal.any([wanted.signal, deadline.signal])
  try {
    const response = await fetch(`${options.controller}/v1/images/${wanted.digest}`, {
      headers: { authorization: `Bearer ${options.token()}` },
      redirect: 'error', // The token is for the controller alone.
      signal,
    })
    if (response.status !== 200 || response.body === null) throw await refusal(response)
    await receive(response.body, wanted, options.bytesMax ?? IMAGE_BYTES_MAX, () =>
      progress.refresh(),
    )
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason
    if (error instanceof TucanoError) throw error
    throw new TucanoError('unavailable', `image not fetched: ${messageOf(error)}`, { cause: error })
  } finally {
    clearTimeout(total)
    clearTimeout(progress)
  }
}

async function receive(
  body: AsyncIterable<Uint8Array>,
  { digest, file }: { digest: string; file: string },
  bytesMax: number,
  onProgress: () => void,
): Promise<void> {
  const hash = createHash('sha256')
  let bytes = 0
  await using handle = await open(file, 'wx', 0o600)
  for await (const chunk of body) {
    onProgress()
    bytes += chunk.length
    if (bytes > bytesMax) throw new TucanoError('too_large', 'the image is larger than allowed')
    hash.update(chunk)
    await handle.writeFile(chunk)
  }
  const found = `sha256:${hash.digest('hex')}`
  if (found === digest) return
  throw new TucanoError('image_unsafe', `the controller sent ${found} instead of ${digest}`)
}

async function refusal(response: Response): Promise<TucanoError> {
  await response.body?.cancel()
  if (response.status === 404) {
    return new TucanoError('not_found', 'the controller does not have this image (any more)')
  }
  return new TucanoError('unavailable', `image not fetched: HTTP ${response.status}`)
}
