// Cuts what comes over a stream socket into lines, one JSON value each. A line is bounded, so that
// whoever is at the other end cannot make this one keep more than that.

export type Lines = {
  /** The lines that are complete now. Throws RangeError when one is longer than the limit. */
  feed(bytes: Buffer): string[]
}

const NEWLINE = 0x0a

export function createLines(bytesMax: number): Lines {
  let held: Buffer[] = []
  let heldBytes = 0

  return {
    feed(bytes) {
      const lines: string[] = []
      let from = 0
      for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
        lines.push(take(bytes.subarray(from, end)))
        from = end + 1
      }
      if (from < bytes.length) hold(bytes.subarray(from))
      return lines
    },
  }

  function hold(piece: Buffer): void {
    heldBytes += piece.length
    if (heldBytes > bytesMax) throw new RangeError(`a line is longer than ${bytesMax} bytes`)
    held.push(piece)
  }

  function take(last: Buffer): string {
    hold(last)
    const line = Buffer.concat(held).toString('utf8')
    held = []
    heldBytes = 0
    return line
  }
}
