// Keeps the file that this program's standard error goes to within its limit. The file is emptied
// in place and not renamed: a crash of Node, and a successor, write to the same open file.

import { copyFileSync, fstatSync, ftruncateSync } from 'node:fs'

export const LOG_BYTES_MAX = 10 * 1024 * 1024
const LOOK_MS = 10_000
const STDERR = 2

/** The former content stays as `<file>.1`. */
export function boundLog(file: string): void {
  const look = () => {
    try {
      if (fstatSync(STDERR).size <= LOG_BYTES_MAX) return
      copyFileSync(file, `${file}.1`)
      ftruncateSync(STDERR)
    } catch {
      // A full disk, or a file that was moved away: the log must not end who writes it.
    }
  }
  look()
  setInterval(look, LOOK_MS).unref()
}
