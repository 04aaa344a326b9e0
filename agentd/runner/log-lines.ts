// Decides what of a program's line is shown: no control characters and no terminal sequences,
// which could rewrite the reader's screen, and not more than a screenful.

import { LOG_LINE_MAX } from '#shared/wire.ts'

const ESCAPE = 0x1b
const BELL = 0x07

/** Linear in the line's length, and reads at most four times LOG_LINE_MAX of it. */
export function cleanLine(line: string): string {
  const text = line.slice(0, LOG_LINE_MAX * 4)
  let clean = ''
  for (let at = 0; at < text.length && clean.length < LOG_LINE_MAX; at += 1) {
    const code = text.charCodeAt(at)
    if (code === ESCAPE) at = sequenceEnd(text, at)
    else if (code === 0x09 || (code >= 0x20 && code < 0x7f) || code > 0x9f) clean += text[at]
  }
  return clean
}

/** Index of the last character of the terminal sequence that begins at `start` (ECMA-48, 5.4). */
function sequenceEnd(text: string, start: number): number {
  const kind = text[start + 1]
  if (kind === '[') {
    let at = start + 2
    while (at < text.length && (text.charCodeAt(at) < 0x40 || text.charCodeAt(at) > 0x7e)) at += 1
    return at
  }
  if (kind === ']') {
    let at = start + 2
    while (at < text.length && text.charCodeAt(at) !== BELL) {
      if (text.charCodeAt(at) === ESCAPE) return at + 1
      at += 1
    }
    return at
  }
  return start + 1
}
