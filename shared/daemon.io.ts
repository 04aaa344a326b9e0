// What both daemons do the same way at their start and end: print help or version, tell every
// problem with its place and leave with the right exit code, stop in order on a signal.

import packageJson from '#package.json' with { type: 'json' }
import { exitCodeOf, TucanoError } from './errors.ts'

export const VERSION: string = packageJson.version

/** How long an orderly stop may take before the process leaves all the same. */
const STOP_MS_MAX = 40_000

/** Runs `main` and ends the process with 1 or 2 when it rejects; the message goes to stderr. */
export async function runDaemon(name: string, main: () => Promise<void>): Promise<void> {
  try {
    await main()
  } catch (error) {
    process.stderr.write(`${problemText(name, error)}\n`)
    process.exit(exitCodeOf(error))
  }
}

/** Words for a user: one line for each problem, and no stack for what was to be expected. */
export function problemText(name: string, error: unknown): string {
  if (!(error instanceof TucanoError)) {
    return `${name}: internal error: ${error instanceof Error ? error.stack : String(error)}`
  }
  if (error.problems.length === 0) return `${name}: ${error.message}`
  const problems = error.problems.map(({ where, what }) => `  ${where}: ${what}`)
  return [`${name}: the configuration is not valid`, ...problems].join('\n')
}

/** Stops once on SIGTERM or SIGINT and leaves with 0; a second signal leaves at once. */
export function stopOnSignal(stop: () => Promise<void>): void {
  let stopping = false
  const onSignal = () => {
    if (stopping) process.exit(1)
    stopping = true
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref()
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${problemText('stop', error)}\n`)
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}
