// A folder of the test's own, gone when the test is.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function tempFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'tucano-test-'))
  return {
    path,
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true })
    },
  }
}
