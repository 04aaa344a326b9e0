// The arguments and the output of `node bench/load.ts`.

import { parseArgs } from 'node:util'
import { TucanoError } from '#shared/errors.ts'
import { type LoadClass, loadClasses } from './golden.ts'
import type { LoadOptions, LoadReport } from './load.ts'

export const USAGE = `node bench/load.ts --url http://127.0.0.1:8080 [options]
  --service NAME     sent as Host; default number-fact
  --class A,B        of ${loadClasses.join(', ')}; default easy
  --connections N    keep-alive connections; default 8
  --rate N           requests per second by the clock; default: as fast as they are answered
  --seconds N        bound; default 10 if --requests is absent
  --requests N       bound
  --timeout-ms N     for one answer; default 30000
  --json             the report as JSON
  --allow-remote     load another machine than this one`

/** Throws a `usage` error. `json`: how to print. */
export function parseLoadArguments(words: string[]): { options: LoadOptions; json: boolean } {
  const values = readWords(words)
  if (values.url === undefined) throw new TucanoError('usage', 'give --url')
  const numbers = {
    ...numberOf('rate', values.rate),
    ...numberOf('seconds', values.seconds ?? (values.requests === undefined ? '10' : undefined)),
    ...numberOf('requests', values.requests),
    ...numberOf('timeoutMs', values['timeout-ms']),
  }
  const options: LoadOptions = {
    url: values.url,
    service: values.service,
    classes: values.class.split(',').map(parseClass),
    connections: Number(values.connections),
    allowRemote: values['allow-remote'],
    ...numbers,
  }
  return { options, json: values.json }
}

function readWords(words: string[]) {
  try {
    return parseArgs({
      args: words,
      options: {
        url: { type: 'string' },
        service: { type: 'string', default: 'number-fact' },
        class: { type: 'string', default: 'easy' },
        connections: { type: 'string', default: '8' },
        rate: { type: 'string' },
        seconds: { type: 'string' },
        requests: { type: 'string' },
        'timeout-ms': { type: 'string' },
        json: { type: 'boolean', default: false },
        'allow-remote': { type: 'boolean', default: false },
      },
    }).values
  } catch (cause) {
    throw new TucanoError('usage', (cause as Error).message, { cause })
  }
}

function numberOf(key: string, text: string | undefined): Record<string, number> {
  return text === undefined ? {} : { [key]: Number(text) }
}

function parseClass(name: string): LoadClass {
  const found = loadClasses.find((each) => each === name)
  if (found === undefined) throw new TucanoError('usage', `no class of numbers: ${name}`)
  return found
}

export function reportText(report: LoadReport): string {
  const lines = [
    `${report.service}, ${report.loop} loop, ${report.seconds.toFixed(1)} s: ` +
      `${report.served} of ${report.sent} served, ${report.servedPerSecond.toFixed(1)}/s`,
    ...Object.entries(report.classes).map(
      ([name, { count, p50Ms, p90Ms, p99Ms, maxMs }]) =>
        `  ${name}: ${count}, p50 ${p50Ms} p90 ${p90Ms} p99 ${p99Ms} max ${maxMs} ms`,
    ),
    ...Object.entries(report.failures).map(([kind, count]) => `  failed: ${count} ${kind}`),
    ...Object.entries(report.instances).map(
      ([id, { count, share }]) => `  ${id}: ${count} (${(share * 100).toFixed(1)} %)`,
    ),
  ]
  return lines.join('\n')
}
