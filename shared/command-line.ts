// The command line that both daemons share: `--config FILE`, `--check`, `--help`, `--version`,
// `--log-level`. Pure: words in, options out, or one error that says how to call.

import { parseArgs } from 'node:util'
import { TucanoError } from './errors.ts'
import { isLogLevel, type LogLevel } from './ports.ts'

export type DaemonOptions = {
  config: string | undefined
  check: boolean
  help: boolean
  version: boolean
  logLevel: LogLevel
  /** Which of the daemon's own switches are on. */
  switches: ReadonlySet<string>
}

/** Throws `usage`. `switches` are the daemon's own flags without a value. */
export function parseDaemonArgs(
  argv: readonly string[],
  name: string,
  switches: readonly string[] = [],
): DaemonOptions {
  const hint = `see ${name} --help`
  const { values, positionals } = parsed(argv, switches, hint)
  const text = (key: string) => (typeof values[key] === 'string' ? values[key] : undefined)
  const options = {
    config: text('config'),
    check: values.check === true,
    help: values.help === true,
    version: values.version === true,
    logLevel: text('log-level') ?? 'info',
    switches: new Set(switches.filter((key) => values[key] === true)),
  }
  if (options.help || options.version) return { ...options, logLevel: 'info' }
  if (positionals.length > 0) {
    throw new TucanoError('usage', `unexpected argument ${positionals[0]}; ${hint}`)
  }
  if (!isLogLevel(options.logLevel)) {
    const levels = 'debug, info, warn, error or silent'
    throw new TucanoError('usage', `--log-level is ${levels}, not ${options.logLevel}; ${hint}`)
  }
  if (options.config === undefined) {
    throw new TucanoError('usage', `--config FILE is missing; ${hint}`)
  }
  return { ...options, logLevel: options.logLevel }
}

function parsed(argv: readonly string[], switches: readonly string[], hint: string) {
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        check: flag,
        help: { ...flag, short: 'h' },
        version: { ...flag, short: 'V' },
        'log-level': { type: 'string' },
        ...Object.fromEntries(switches.map((name) => [name, flag])),
      },
    }) as { values: Record<string, string | boolean | undefined>; positionals: string[] }
  } catch (cause) {
    const words = cause instanceof Error ? cause.message.split('. ')[0] : String(cause)
    throw new TucanoError('usage', `${words}; ${hint}`, { cause })
  }
}
