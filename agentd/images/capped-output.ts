// Decides which part of an endless output is kept: its beginning, where the cause of a failure
// often stands, and its end, where the failure stands. What lies between is counted, not kept.

export const BUILD_LOG_BYTES_MAX = 10 * 1024 * 1024
const TAIL_BYTES = 1024 * 1024

export type CappedOutput = {
  /** Returns what is to be written now, if anything. */
  push(chunk: Buffer): Buffer | undefined
  /** true once `push` drops output. */
  isFull(): boolean
  /** What is to be written last: the note about dropped lines and the tail. */
  end(): Buffer
}

export function capOutput(bytesMax = BUILD_LOG_BYTES_MAX): CappedOutput {
  const tailMax = Math.min(TAIL_BYTES, Math.floor(bytesMax / 2))
  const headMax = bytesMax - tailMax
  let headBytes = 0
  let droppedLines = 0
  let droppedBytes = 0
  let tail: Buffer[] = []
  let tailBytes = 0

  function drop(bytes: Buffer): void {
    droppedBytes += bytes.length
    for (const byte of bytes) if (byte === 10) droppedLines += 1
  }

  return {
    push(chunk) {
      const head = chunk.subarray(0, headMax - headBytes)
      headBytes += head.length
      const rest = chunk.subarray(head.length)
      if (rest.length > 0) {
        tail.push(rest)
        tailBytes += rest.length
        // A whole chunk at a time, so that nothing is copied while it pours.
        while (tail[0] !== undefined && tailBytes - tail[0].length >= tailMax) {
          tailBytes -= tail[0].length
          drop(tail[0])
          tail = tail.slice(1)
        }
      }
      return head.length > 0 ? head : undefined
    },
    isFull: () => headBytes === headMax,
    end() {
      let kept = Buffer.concat(tail)
      if (kept.length > tailMax) {
        drop(kept.subarray(0, kept.length - tailMax))
        kept = kept.subarray(kept.length - tailMax)
      }
      if (droppedBytes === 0) return kept
      return Buffer.concat([Buffer.from(`\n[... dropped ${droppedLines} lines]\n`), kept])
    },
  }
}
