// The controller's side of the data plane's program: keeps a connection to it, starts it where none
// runs, sends the newest table, and passes on what it sees. The program outlives the controller:
// what it says at the start of a connection makes good what was missed.

import type { DataPlane, Observation, RouteTable } from '#ctld/ports.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Clock, Log } from '#shared/ports.ts'
import { createAwaited } from './awaited.ts'
import type { Settings } from './data-plane/loop/loop-table.ts'
import {
  type FromDataPlane,
  type PortFailure,
  PROTOCOL,
  type ToDataPlane,
} from './data-plane/supervisor/protocol.ts'
import { createInForce } from './in-force.ts'
import { createQuestions } from './questions.ts'

const REDIAL_MS_MIN = 20
const REDIAL_MS_MAX = 1_000
/** One that was greeted again within that time cuts its connections: it is dialled less often. */
const STEADY_MS = 2_000
/** A program that ended is started at once, and later each time when that goes on. */
const RELAUNCH_MS_MIN = 100
const RELAUNCH_MS_MAX = 5_000
/** A program that lived for so long ended of something new. */
const LONG_LIFE_MS = 10_000
/** So long the successor is waited for before another program is started. */
const HANDOVER_MS = 10_000
const READY_MS_MAX = 30_000

/** A connection. `isFull`: it does not take what is sent as quickly as that comes. */
export type Link = { send(message: ToDataPlane): void; isFull(): boolean; close(): void }

export type FeedPorts = {
  clock: Clock
  log: Log
  version: string
  /** Rejects when nobody listens. `emptied`: it was full and is not any more. */
  dial(on: { heard(message: FromDataPlane): void; emptied(): void; closed(): void }): Promise<Link>
  /** Starts the program; `ended` once, with what it said last. undefined: another one starts it. */
  launch: ((ended: (words: string) => void) => void) | undefined
  /** By which a program of another version starts this one's. */
  upgradeCommand: readonly string[]
}

export type Feed = DataPlane & {
  /** Resolves when the program is there. Rejects with `unavailable`, in its words. */
  connect(): Promise<void>
  /** Resolves when it serves by the first table; rejects with the failure of the main port. */
  opened(): Promise<void>
  /** The settings in force from now on. */
  change(settings: Settings): void
  /** Ends a program that this controller started, and none that was there before. */
  abandon(): void
  /** Lets it go on alone. */
  close(): void
}

/** What keeps the main port from being opened. */
export class PortRefused extends Error {
  readonly code: string | undefined

  constructor({ error }: PortFailure) {
    super(error)
    this.name = 'PortRefused'
    this.code = /\bE[A-Z]{3,}\b/.exec(error)?.[0]
  }
}

export function createFeed(ports: FeedPorts, first: Settings): Feed {
  const { clock, log } = ports
  const listeners: ((observation: Observation) => void)[] = []
  /** What was seen before anybody listened. */
  const early: Observation[] = []
  const awaited = createAwaited()
  const inForce = createInForce(clock)
  const questions = createQuestions(clock)
  const greeted = Promise.withResolvers<void>()
  const served = Promise.withResolvers<void>()
  for (const { promise } of [greeted, served]) promise.catch(() => {}) // Some wait for neither.
  let settings = first
  let table: RouteTable | undefined
  let link: Link | undefined
  /** The program at the other end said who it is. */
  let isGreeted = false
  let isStale = false
  let pid: number | undefined
  /** Once for each version: a successor may be of that again, when the files are. */
  let upgradeAskedOf: string | undefined
  let isHandover = false
  let launchNotBefore = 0
  let launched: { at: number } | undefined
  let greetedAt = Number.NEGATIVE_INFINITY
  let shortLives = 0
  let wasLaunched = false
  let failedWith: string | undefined
  /** Of the program that was started last. */
  let lastWords: string | undefined
  let redialMs = REDIAL_MS_MIN
  let isClosed = false

  function tell(observation: Observation): void {
    if (listeners.length === 0) early.push(observation)
    for (const listener of listeners) listener(observation)
  }

  async function dial(): Promise<void> {
    if (isClosed) return
    try {
      link = await ports.dial({
        heard: (message) => hear(message),
        emptied: () => isStale && sendTable(),
        closed,
      })
      if (isClosed) link.close()
    } catch {
      // Nobody listens: it is not there, or not yet.
      launchIfDue()
      redial()
    }
  }

  function redial(): void {
    clock.after(redialMs, () => void dial())
    redialMs = Math.min(redialMs * 1.5, REDIAL_MS_MAX)
  }

  function closed(): void {
    const wasGreeted = isGreeted
    link = undefined
    isGreeted = false
    questions.cut()
    if (isClosed) return
    if (wasGreeted && !isHandover) log.error({ balancer: pid }, 'the data plane is away')
    // Not at once: a program that cuts each connection must not keep this one busy.
    redial()
  }

  function launchIfDue(): void {
    const { launch } = ports
    if (launch === undefined || launched !== undefined || clock.now() < launchNotBefore) return
    const own = { at: clock.now() }
    launched = own
    wasLaunched = true
    log.info({}, 'starting the data plane')
    launch((words) => {
      // It had said good-bye, and another one serves in its place or is to.
      if (launched !== own) return
      const isShort = clock.now() - own.at < LONG_LIFE_MS
      launched = undefined
      lastWords = words
      shortLives = isShort ? shortLives + 1 : 0
      launchNotBefore = clock.now() + relaunchMs(shortLives)
      if (isGreeted || isHandover || isClosed) return
      log.error({ words }, 'the data plane ended')
      greeted.reject(new TucanoError('unavailable', `tucano_balancer does not start: ${words}`))
      fail(words)
    })
  }

  /** Once for each time that it is away. */
  function fail(error: string): void {
    if (pid === undefined || failedWith !== undefined) return
    failedWith = error
    tell({ kind: 'data_plane_failed', error })
  }

  function hear(message: FromDataPlane): void {
    switch (message.kind) {
      case 'hello':
        greet(message)
        return
      case 'bye':
        isHandover = message.why === 'upgrade'
        if (isHandover) launchNotBefore = clock.now() + HANDOVER_MS
        // What it has under way may take it long, and it does not listen any more.
        if (message.why !== 'replaced') launched = undefined
        log.info({ why: message.why }, 'the data plane closes the connection')
        return
      case 'ack':
        acked(message)
        return
      case 'refused':
        log.error(message, 'the data plane refused a route table; it serves by the former one')
        served.reject(new TucanoError('unavailable', message.error))
        return
      case 'drained':
        if (awaited.drained(message.instance, message.version)) {
          tell({ kind: 'drained', instance: message.instance })
        }
        return
      case 'observed':
        tell(message.observation)
        return
      case 'counters':
      case 'counters_failed':
        questions.heard(message)
    }
  }

  function greet(hello: Extract<FromDataPlane, { kind: 'hello' }>): void {
    const isNew = hello.pid !== pid
    if (pid !== undefined && isNew && !isHandover) fail(lastWords ?? 'it ended without a word')
    log.info({ balancer: hello.pid, version: hello.program }, 'the data plane is there')
    pid = hello.pid
    failedWith = undefined
    isHandover = false
    launchNotBefore = 0
    isGreeted = true
    if (clock.now() - greetedAt > STEADY_MS) redialMs = REDIAL_MS_MIN
    greetedAt = clock.now()
    inForce.connected()
    const { drained, routed } = awaited.greeted(hello.routed)
    for (const instance of drained) tell({ kind: 'drained', instance })
    for (const instance of routed) tell({ kind: 'routed', instance })
    greeted.resolve()
    if (table !== undefined) sendTable()
    if (hello.program !== ports.version || hello.protocol !== PROTOCOL) upgrade(hello)
  }

  function upgrade({ program: from, protocol }: { program: string; protocol: number }): void {
    const to = ports.version
    if (upgradeAskedOf === `${from} ${protocol}`) {
      log.warn({ from, to }, 'the data plane is of another version still: restart the controller')
      return
    }
    upgradeAskedOf = `${from} ${protocol}`
    log.info({ from, to }, 'the data plane is told to upgrade')
    link?.send({ kind: 'upgrade', command: [...ports.upgradeCommand] })
  }

  function acked({ version, failures, notKept }: Extract<FromDataPlane, { kind: 'ack' }>): void {
    inForce.acked(version)
    if (notKept !== undefined) {
      log.warn({ error: notKept }, 'the data plane could not keep its route table on disk')
    }
    const main = failures.find(({ port }) => port === settings.port)
    if (main === undefined) served.resolve()
    else served.reject(new PortRefused(main))
  }

  function sendTable(): void {
    if (table === undefined || link === undefined || !isGreeted) return
    isStale = link.isFull()
    const { version, routes } = table
    if (!isStale) link.send({ kind: 'table', version, settings, routes })
  }

  return {
    publish(next) {
      table = next
      awaited.published(next)
      inForce.published(next.version)
      sendTable()
    },
    observe(listener) {
      listeners.push(listener)
      for (const observation of early.splice(0)) listener(observation)
    },
    counters: () => questions.ask(isGreeted ? link?.send : undefined),
    inForce: inForce.wait,
    connect() {
      void dial()
      return within(READY_MS_MAX, greeted.promise, 'tucano_balancer does not answer')
    },
    opened: () => within(READY_MS_MAX, served.promise, 'tucano_balancer does not serve'),
    change(next) {
      if (JSON.stringify(next) === JSON.stringify(settings)) return
      settings = next
      sendTable()
    },
    abandon() {
      if (wasLaunched) link?.send({ kind: 'stop', graceMs: 0 })
    },
    close() {
      isClosed = true
      link?.close()
    },
  }

  function within(ms: number, promise: Promise<void>, words: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new TucanoError('timeout', `${words} within ${ms / 1_000} s`))
      const cancel = clock.after(ms, late)
      promise.then(resolve, reject).finally(cancel)
    })
  }
}

function relaunchMs(shortLives: number): number {
  return shortLives < 2 ? 0 : Math.min(RELAUNCH_MS_MIN * 2 ** (shortLives - 2), RELAUNCH_MS_MAX)
}
