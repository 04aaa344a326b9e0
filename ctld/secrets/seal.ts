// Seals a value so that only the key opens it, and only under the name it was sealed for:
// AES-256-GCM (NIST SP 800-38D) with the name as associated data. Pure: who seals brings the nonce,
// 96 random bits that no other value under the same key may have.

import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { assert } from '#shared/assert.ts'

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'

/** Base64. `data` ends in the tag that shows every change of it. */
export type Sealed = { nonce: string; data: string }

export type SealKey = Readonly<Uint8Array>

export function seal(key: SealKey, nonce: Uint8Array, about: string, value: string): Sealed {
  assert(key.length === KEY_BYTES && nonce.length === NONCE_BYTES, 'key and nonce have their size')
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(about))
  const data = Buffer.concat([cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { nonce: Buffer.from(nonce).toString('base64'), data: data.toString('base64') }
}

/** undefined: it was sealed by another key, for another name, or changed since. */
export function unseal(key: SealKey, about: string, sealed: Sealed): string | undefined {
  const nonce = Buffer.from(sealed.nonce, 'base64')
  const data = Buffer.from(sealed.data, 'base64')
  if (nonce.length !== NONCE_BYTES || data.length < TAG_BYTES) return undefined
  const cipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(about))
  cipher.setAuthTag(data.subarray(-TAG_BYTES))
  try {
    const text = [cipher.update(data.subarray(0, -TAG_BYTES)), cipher.final()]
    return Buffer.concat(text).toString('utf8')
  } catch {
    // The tag does not fit; the library says no more, and there is no more to say.
    return undefined
  }
}

/** Names a key without telling anything of it. */
export function fingerprintOf(key: SealKey): string {
  return createHash('sha256').update('key of the secrets\n').update(key).digest('hex').slice(0, 16)
}
