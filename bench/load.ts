// Asks a service for the golden numbers and believes no answer it has not compared: what counts
// as served is status 200 with the right factors. Closed loop: N connections, each asks again as
// soon as it is answered. Open loop (`rate`): requests leave by the clock, and latency counts
// from the moment a request was due, so that a slow server cannot hide its queue.

import { Agent, type IncomingMessage, request } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { exitCodeOf, messageOf, TucanoError } from '#shared/errors.ts'
import { type Fact, factsOf, type LoadClass } from './golden.ts'
import { createLatencies, type Latencies, type Summary } from './latencies.ts'

export type LoadOptions = {
  /** `http://127.0.0.1:8080`; another machine only with `allowRemote`. */
  url: string
  /** Sent as Host. */
  service: string
  /** The numbers of these classes, in order, over and over. */
  classes: readonly LoadClass[]
  connections: number
  /** Requests per second; absent: closed loop. */
  rate?: number
  /** The first bound that is reached ends the run; one is needed. */
  seconds?: number
  requests?: number
  /** For one answer. */
  timeoutMs?: number
  allowRemote?: boolean
  onResult?: (result: LoadResult) => void
}

/** `at`: ms since the run began; `failure`: absent when the answer was right. */
export type LoadResult = {
  at: number
  ms: number
  fact: Fact
  instance: string | undefined
  failure: string | undefined
}

export type LoadReport = {
  service: string
  loop: 'closed' | 'open'
  seconds: number
  sent: number
  served: number
  servedPerSecond: number
  failed: number
  /** `status 503`, `wrong body`, `ECONNREFUSED`, `timeout`, `not sent` … */
  failures: Record<string, number>
  /** Of right answers alone. */
  classes: Record<string, Summary>
  /** By the X-Tuc-Inst of the answers. */
  instances: Record<string, { count: number; share: number }>
}

const TIMEOUT_MS = 30_000
/** Open loop: what is due while so many are under way is a failure, `not sent`. */
const UNDER_WAY_MAX = 10_000

/** Resolves when the last answer is in; throws a `usage` error for options that make no sense. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  checkOptions(options)
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections })
  const tally = createTally(options)
  try {
    await (options.rate === undefined ? runClosed : runOpen)(options, tally, agent)
    return tally.report()
  } finally {
    agent.destroy()
  }
}

async function runClosed(options: LoadOptions, tally: Tally, agent: Agent): Promise<void> {
  const askOn = async () => {
    for (let turn = tally.next(); turn !== undefined; turn = tally.next()) {
      tally.add(await ask(options, turn, agent, performance.now()))
    }
  }
  await Promise.all(Array.from({ length: options.connections }, askOn))
}

async function runOpen(options: LoadOptions, tally: Tally, agent: Agent): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const begin = performance.now()
  const gapMs = 1_000 / (options.rate as number)
  let due = begin
  let underWay = 0
  let over = false
  const send = (fact: Fact, dueAt: number) => {
    underWay += 1
    ask(options, fact, agent, dueAt).then((answer) => {
      underWay -= 1
      tally.add(answer)
      if (over && underWay === 0) resolve()
    })
  }
  const tick = () => {
    while (!over && due <= performance.now()) {
      const fact = tally.next()
      if (fact === undefined) over = true
      else if (underWay < UNDER_WAY_MAX) send(fact, due)
      else tally.add({ fact, dueAt: due, ms: 0, instance: undefined, failure: 'not sent' })
      due += gapMs
    }
    if (!over) setTimeout(tick, due - performance.now())
    else if (underWay === 0) resolve()
  }
  tick()
  await promise
}

type Asked = Omit<LoadResult, 'at'> & { dueAt: number }

async function ask(options: LoadOptions, fact: Fact, agent: Agent, dueAt: number): Promise<Asked> {
  const signal = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)
  const target = new URL(fact.path, options.url)
  let instance: string | undefined
  let failure: string | undefined
  try {
    const response = await responseTo(target, options.service, agent, signal)
    instance = response.headers['x-tuc-inst']?.toString()
    const body = await text(response)
    if (response.statusCode !== 200) failure = `status ${response.statusCode}`
    else if (!isGolden(body, fact)) failure = 'wrong body'
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    failure = signal.aborted ? 'timeout' : (code ?? message)
  }
  return { fact, dueAt, ms: performance.now() - dueAt, instance, failure }
}

function responseTo(
  target: URL,
  host: string,
  agent: Agent,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(target, { agent, signal, headers: { host } }, resolve).on('error', reject).end()
  })
}

/** The text itself where it is ours, else its meaning: spaces and the order of keys are free. */
function isGolden(body: string, fact: Fact): boolean {
  if (body === fact.body) return true
  try {
    const { fatores, sha } = JSON.parse(body)
    return JSON.stringify({ fatores, sha }) === fact.body
  } catch {
    return false // Not JSON, hence not the answer.
  }
}

type Tally = {
  /** What to ask for next; undefined: a bound is reached. */
  next(): Fact | undefined
  add(asked: Asked): void
  report(): LoadReport
}

function createTally(options: LoadOptions): Tally {
  const facts = options.classes.flatMap(factsOf)
  const latencies = new Map<string, Latencies>(
    options.classes.map((name) => [name, createLatencies()]),
  )
  const failures = new Map<string, number>()
  const instances = new Map<string, number>()
  const begin = performance.now()
  const endAt = begin + (options.seconds ?? Number.POSITIVE_INFINITY) * 1_000
  let sent = 0
  let served = 0

  return {
    next() {
      if (performance.now() >= endAt || sent >= (options.requests ?? Number.POSITIVE_INFINITY)) {
        return undefined
      }
      return facts[sent++ % facts.length]
    },
    add({ dueAt, ...result }) {
      const { failure, instance, fact, ms } = result
      if (failure !== undefined) failures.set(failure, (failures.get(failure) ?? 0) + 1)
      else {
        served += 1
        latencies.get(fact.class)?.add(ms)
      }
      if (instance !== undefined) instances.set(instance, (instances.get(instance) ?? 0) + 1)
      options.onResult?.({ ...result, at: dueAt - begin })
    },
    report() {
      const seconds = (performance.now() - begin) / 1_000
      const named = [...instances.values()].reduce((sum, count) => sum + count, 0)
      return {
        service: options.service,
        loop: options.rate === undefined ? 'closed' : 'open',
        seconds,
        sent,
        served,
        servedPerSecond: served / seconds,
        failed: sent - served,
        failures: Object.fromEntries([...failures].sort()),
        classes: Object.fromEntries([...latencies].map(([name, each]) => [name, each.summary()])),
        instances: Object.fromEntries(
          [...instances].sort().map(([id, count]) => [id, { count, share: count / named }]),
        ),
      }
    },
  }
}

function checkOptions(options: LoadOptions): void {
  const { url, connections, rate, seconds, requests, timeoutMs } = options
  if (!URL.canParse(url) || new URL(url).protocol !== 'http:') refuse(`not an http URL: ${url}`)
  if (!options.allowRemote && !isLoopback(new URL(url).hostname)) {
    refuse(`${url} is another machine; load it only if it is yours, with --allow-remote`)
  }
  if (options.classes.length === 0) refuse('name at least one class')
  if (seconds === undefined && requests === undefined) refuse('give seconds or requests')
  for (const [name, value] of Object.entries({ connections, rate, seconds, requests, timeoutMs })) {
    if (value !== undefined && !(value > 0)) refuse(`${name} is not above 0: ${value}`)
  }
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8)
  loopback.addAddress('::1', 'ipv6')
  return (
    host === 'localhost' || (isIP(host) > 0 && loopback.check(host, `ipv${isIP(host) as 4 | 6}`))
  )
}

function refuse(what: string): never {
  throw new TucanoError('usage', what)
}

/** Exit code 0 only if every answer was right. */
async function main(): Promise<void> {
  const { parseLoadArguments, reportText, USAGE } = await import('./load-command.ts')
  try {
    const { options, json } = parseLoadArguments(process.argv.slice(2))
    const report = await runLoad(options)
    console.log(json ? JSON.stringify(report, null, 2) : reportText(report))
    process.exitCode = report.failed === 0 ? 0 : 1
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${USAGE}`)
    process.exitCode = exitCodeOf(error)
  }
}

if (import.meta.main) await main()
