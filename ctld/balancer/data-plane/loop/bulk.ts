// Lends large buffers to connections over which much comes at once: fewer calls of the system for
// each megabyte, and no copy on the way from one socket to the other.

export const BULK_SIZE = 256 * 1024
/** Kept for the next ones; more may be lent at the same time. */
const KEPT_MAX = 32

export type Bulk = { lend(): Buffer; giveBack(buffer: Buffer): void }

export function createBulk(): Bulk {
  const kept: Buffer[] = []
  return {
    lend: () => kept.pop() ?? Buffer.allocUnsafeSlow(BULK_SIZE),
    /** Nothing may refer to it any more. */
    giveBack(buffer) {
      if (kept.length < KEPT_MAX) kept.push(buffer)
    },
  }
}
