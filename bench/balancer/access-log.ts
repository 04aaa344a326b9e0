// Has a proxy written its access log? One that dropped lines, or wrote none, was not measured with
// a log.

import { createReadStream, existsSync } from 'node:fs'

const NEWLINE = 10

/** What is wrong with it; undefined: at least one line for each request that was answered. */
export async function faultOfLog(path: string, requests: number): Promise<string | undefined> {
  const lines = existsSync(path) ? await linesIn(path) : 0
  return lines >= requests ? undefined : `${requests} answers, but ${lines} lines in the access log`
}

async function linesIn(path: string): Promise<number> {
  let count = 0
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, at + 1)) count += 1
  }
  return count
}
