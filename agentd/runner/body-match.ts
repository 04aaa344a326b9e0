// Looks for texts in the beginning of a body, one behind the other, while it comes in. Each byte is
// looked at once for each text at most, however the body is cut into pieces and whatever is in it.

export const BODY_BYTES_MAX = 64 * 1024

export type BodyMatch = {
  /** true: more of the body makes no difference. */
  add(chunk: Uint8Array): boolean
  /** The first text that was not found; undefined: all were. */
  missing(): string | undefined
}

export function createBodyMatch(texts: readonly string[]): BodyMatch {
  const body = Buffer.alloc(texts.length === 0 ? 0 : BODY_BYTES_MAX)
  const wanted = texts.map((text) => Buffer.from(text))
  let length = 0
  let from = 0
  let found = 0

  function look(): void {
    for (let next = wanted[found]; next !== undefined; next = wanted[found]) {
      const at = body.subarray(0, length).indexOf(next, from)
      if (at === -1) {
        // Its beginning may have come in already.
        from = Math.max(from, length - next.length + 1)
        return
      }
      from = at + next.length
      found += 1
    }
  }

  return {
    add(chunk) {
      const room = body.length - length
      body.set(chunk.subarray(0, room), length)
      length += Math.min(chunk.length, room)
      look()
      return found === wanted.length || length === body.length
    },
    missing: () => texts[found],
  }
}
