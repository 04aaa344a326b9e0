// Reads a body in chunks for the tests' clients and origins, on its own: what the engine sends must
// be right for a reader that shares nothing with it.

/** undefined: not all is there. Trailers stand behind a `|`; `to`: where the body ends. */
export function chunksOf(text: string, from: number): { body: string; to: number } | undefined {
  let body = ''
  for (let at = from; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line === -1) return undefined
    const size = Number.parseInt(text.slice(at, line), 16)
    if (size === 0) {
      const last = text.indexOf('\r\n\r\n', line)
      if (last === -1) return undefined
      const trailers = text.slice(line + 2, last)
      return { body: trailers === '' ? body : `${body}|${trailers}`, to: last + 4 }
    }
    if (text.length < line + 4 + size) return undefined
    body += text.slice(line + 2, line + 2 + size)
    at = line + 4 + size
  }
}
