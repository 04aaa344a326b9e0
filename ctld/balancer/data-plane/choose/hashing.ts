// Hashes of texts that are the same in every thread and on every machine: keys must lead to the
// same instance whichever loop takes the request. Not for secrets.

const FNV32_OFFSET = 0x811c9dc5
const FNV32_PRIME = 0x01000193

/** FNV-1a over the code units, then mixed: FNV alone leaves texts that differ at the end close. */
export function hash32(text: string, seed = 0): number {
  let hash = FNV32_OFFSET ^ seed
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), FNV32_PRIME)
  }
  return mix32(hash)
}

/** The finish of MurmurHash3: every bit of the number decides about every bit of the result. */
export function mix32(number: number): number {
  let mixed = number ^ (number >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
