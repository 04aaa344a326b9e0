// Structured log lines on standard error, by pino. Secrets never get here: they are read by
// reference and kept out of every object that is logged; `redact` is the second line of defence.

import { pino } from 'pino'
import type { Log, LogLevel } from './ports.ts'

/** What a full disk, or a reader that is gone, keeps waiting; then lines are dropped. */
const UNWRITTEN_BYTES_MAX = 64 * 1024

export function createLog(name: string, level: LogLevel): Log {
  const standardError = pino.destination({ dest: 2, sync: true, maxLength: UNWRITTEN_BYTES_MAX })
  // Nobody can be told of it, and it must not end whoever wanted to say something.
  standardError.on('error', () => {})
  return pino(
    {
      name,
      level,
      redact: ['token', 'password', '*.token', '*.password', 'headers.authorization'],
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    standardError,
  )
}
