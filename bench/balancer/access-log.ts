// Has a proxy written its access log? One that dropped lines, or wrote none, was not measured with
// a log.

import { createReadStream } from 'node:fs'

const NEWLINE = 10

/** Throws when there are fewer lines than requests that were answered. */
export async function checkLog(proxy: string, path: string, requests: number): Promise<void> {
  const lines = await linesIn(path)
  if (lines >= requests) return
  throw new Error(`${proxy} answered ${requests} requests and logged ${lines} of them`)
}

async function linesIn(path: string): Promise<number> {
  let count = 0
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, at + 1)) count += 1
  }
  return count
}
