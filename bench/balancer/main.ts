// What a request through the balancer costs, side by side with HAProxy, nginx, Caddy and the engine
// that was before: one thread each, the same programs behind, the same load. Nothing counts that
// was not a whole right answer. Run: npm run bench:balancer [-- --quick --json]

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { machineFacts } from '#bench/machine.ts'
import { exitCodeOf, messageOf, TucanoError } from '#shared/errors.ts'
import { cases as allCases, CALIBRATION, type Case, QUICK_BEGINS_MAX_MS } from './cases.ts'
import { writeDocs } from './docs.ts'
import { type Options, parseOptions, USAGE } from './options.ts'
import { nodeFlagsIn, refuseMissing, versionsOf } from './programs.ts'
import { type BalancerReport, failuresOf, textOf } from './report.ts'
import { aimsOf, ratiosOf, resultsOf } from './results.ts'
import { runRounds } from './rounds.ts'
import { openSession } from './session.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/tucano_balancer')

let isEnding = false

async function measure(options: Options, startedAt: number): Promise<BalancerReport> {
  const { proxies, times, quick } = options
  refuseMissing(proxies)
  const machine = machineFacts()
  const cases = withCalibration(options.cases)
  await using session = await openSession({
    proxies,
    accessLogs: [...new Set(cases.map(({ accessLog }) => accessLog))],
    nodeFlags: options.nodeFlags ?? nodeFlagsIn(readFileSync(LAUNCHER, 'utf8')),
  })
  endOnSignal(session)
  const samples = await runRounds(session, {
    cases,
    proxies,
    times,
    beginBefore: quick ? startedAt + QUICK_BEGINS_MAX_MS : Number.POSITIVE_INFINITY,
    say,
  })
  const faults = await session.endProxies()
  return {
    machine: { ...machine, isPinned: session.isPinned },
    settings: times,
    versions: versionsOf(proxies),
    cases: resultsOf(samples),
    ratios: ratiosOf(samples),
    aims: aimsOf(samples),
    failures: { ...failuresOf(samples), ...Object.fromEntries(faults.map((why) => [why, 1])) },
  }
}

/** The rate is a share of what was measured. */
function withCalibration(cases: readonly Case[]): readonly Case[] {
  if (!cases.some(({ isRate }) => isRate)) return cases
  return allCases.filter((each) => cases.includes(each) || each.name === CALIBRATION)
}

function endOnSignal(session: AsyncDisposable): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, async () => {
      isEnding = true
      await session[Symbol.asyncDispose]()
      process.exit(code)
    })
  }
}

function say(what: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${what}`)
}

async function main(): Promise<void> {
  const startedAt = performance.now()
  try {
    const options = parseOptions(process.argv.slice(2))
    const report = await measure(options, startedAt)
    console.log(options.json ? JSON.stringify(report) : textOf(report))
    const wrong = Object.entries(report.failures)
    if (wrong.length > 0) {
      const kinds = wrong.map(([why, count]) => `${count} × ${why}`)
      throw new Error(`not every answer was right: ${kinds.join(', ')}`)
    }
    if (options.isWhole) writeDocs(report)
  } catch (error) {
    // What is ended in the middle of its work complains.
    if (isEnding) return
    const isUsage = error instanceof TucanoError && error.code === 'usage'
    console.error(isUsage ? `${messageOf(error)}\n\n${USAGE}` : error)
    process.exitCode = exitCodeOf(error)
  }
}

if (import.meta.main) await main()
