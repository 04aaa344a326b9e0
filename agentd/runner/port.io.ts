// Finds ports that nothing listens on, by listening for a moment.

import { createServer } from 'node:net'

export function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/**
 * Begins anywhere in the range, so that agents that share a machine seldom meet, and a port that
 * was just given up is seldom given to another service. undefined: all are taken.
 */
export async function freePort(
  host: string,
  { from, to }: { from: number; to: number },
  taken: ReadonlySet<number>,
): Promise<number | undefined> {
  const count = to - from + 1
  const first = Math.floor(Math.random() * count)
  for (let index = 0; index < count; index += 1) {
    const port = from + ((first + index) % count)
    if (!taken.has(port) && (await isPortFree(host, port))) return port
  }
  return undefined
}
