// Finds the body of a request in text that came so far: by its length or in chunks.

/** `undefined`: not whole yet. `next`: where the next request begins. */
export function takeBody(
  head: string,
  text: string,
  from: number,
): { text: string; next: number } | undefined {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length !== undefined) {
    const next = from + Number(length)
    return text.length < next ? undefined : { text: text.slice(from, next), next }
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return { text: '', next: from }
  let body = ''
  for (let at = from; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line === -1) return undefined
    const size = Number.parseInt(text.slice(at, line), 16)
    const next = line + 2 + size + 2
    if (text.length < next) return undefined
    if (size === 0) return { text: body, next }
    body += text.slice(line + 2, line + 2 + size)
    at = next
  }
}
