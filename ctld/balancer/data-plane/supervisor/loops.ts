// Keeps as many loops running as are wanted, each in a thread: hands them the tables, replaces one
// that died or does not turn any more, lets the surplus finish, and gathers what they count.

import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import type {
  ListeningPort,
  LoopNews,
  LoopTable,
} from '#ctld/balancer/data-plane/loop/loop-table.ts'
import type {
  FromLoop,
  LoopQuestion,
  ToLoop,
} from '#ctld/balancer/data-plane/loop/thread-messages.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Cancel, Clock, Log } from '#shared/ports.ts'
import { createCountsKept } from './counts-kept.ts'
import type { PortFailure } from './protocol.ts'

/** A loop that lived for so long died of something new: its successor starts at once. */
const SHORT_LIFE_MS = 10_000
const RESTART_MS_MIN = 100
const RESTART_MS_MAX = 5_000
/** A loop that does not answer for so long serves nobody: its connections wait in vain. */
const PULSE_MS = 5_000
const PULSES_MISSED_MAX = 7
const ANSWER_MS_MAX = 2_000
/** A loop tries a port that failed again well before that. */
const FAILURE_MS = 12_000
/** Loops that are too many now let their connections finish for so long. */
export const SHRINK_GRACE_MS = 30_000
/** At the end, one that has not finished so long after its time hangs. */
const HANG_MS = 5_000

export type LoopThread = { post(message: ToLoop): void; terminate(): void }

/** `ended` is called once, whatever ended it, also `terminate`. */
export type StartLoop = (
  index: number,
  on: { message(message: FromLoop): void; ended(error: string): void },
) => LoopThread

export type LoopsPorts = {
  clock: Clock
  log: Log
  startLoop: StartLoop
  /** What a loop tells, but its failures to listen; `version`: of the table that it had then. */
  told(member: string, news: LoopNews, version: number): void
  listenerFailed(failure: PortFailure): void
  /** A loop was handed this table. */
  posted(member: string, table: LoopTable): void
  /** A loop is no more; `error` when nobody had asked it to end. */
  gone(member: string, index: number, error: string | undefined): void
}

export type Loops = {
  /** So many from now on. Sockets that were inherited are divided among the first ones. */
  resize(count: number, inherited?: readonly ListeningPort[]): void
  /** Resolves when every loop that was there serves by it, with the ports that failed. */
  update(table: LoopTable): Promise<PortFailure[]>
  /** Resolves when no update is under way. */
  updated(): Promise<void>
  /** Rejects with `unavailable` when no loop answers. */
  counters(): Promise<DataPlaneCounters>
  listening(): Promise<ListeningPort[]>
  /** Resolves when the last loop has finished. No loop is started any more. */
  drain(graceMs: number): Promise<void>
}

type Member = {
  id: string
  index: number
  thread: LoopThread
  isDraining: boolean
  startedAt: number
  /** Version of the table that it serves by. */
  applied: number
  pulsesMissed: number
}

type Waiting = { members: Set<string>; done: () => void }

export function createLoops(ports: LoopsPorts): Loops {
  const { clock, log } = ports
  const members = new Map<string, Member>()
  const counts = createCountsKept()
  /** By index; how often the loop in this place died young, one after the other. */
  const youngDeaths = new Map<number, number>()
  const restarts = new Map<number, Cancel>()
  const inheritance = new Map<number, ListeningPort[]>()
  /** With when it was told last: a loop tells it again at each try, until it succeeds. */
  const failures = new Map<number, PortFailure & { at: number }>()
  const questions = new Map<number, { waiting: Waiting; take: (answer: unknown) => void }>()
  const updates = new Set<Waiting & { version: number }>()
  let wanted = 0
  let born = 0
  let asked = 0
  let table: LoopTable | undefined
  let stopPulse: Cancel = () => {}
  let isEnding = false
  const lastGone = new Set<() => void>()
  const onUpdated: (() => void)[] = []

  function start(index: number): void {
    if (isEnding) return
    born += 1
    const id = `${index}#${born}`
    const thread = ports.startLoop(index, {
      message: (message) => hear(id, message),
      ended: (error) => end(id, error),
    })
    const startedAt = clock.now()
    const isDraining = false
    const member = { id, index, thread, isDraining, startedAt, applied: -1, pulsesMissed: 0 }
    members.set(id, member)
    if (table !== undefined) post(member, table)
  }

  /** Answers how many loops it takes. */
  function inherit(sockets: readonly ListeningPort[]): number {
    const byPort = Map.groupBy(sockets, ({ port }) => port)
    for (const ofPort of byPort.values()) {
      for (const [index, socket] of ofPort.entries()) {
        inheritance.set(index, [...(inheritance.get(index) ?? []), socket])
      }
    }
    return inheritance.size
  }

  function post(member: Member, next: LoopTable): void {
    const inherited = inheritance.get(member.index)
    inheritance.delete(member.index)
    ports.posted(member.id, next)
    member.thread.post({
      kind: 'table',
      table: inherited === undefined ? next : { ...next, inherited },
    })
  }

  function hear(id: string, message: FromLoop): void {
    const member = members.get(id)
    if (member === undefined) return
    switch (message.kind) {
      case 'updated':
        member.applied = message.version
        for (const update of updates) if (member.applied >= update.version) tick(update, id)
        return
      case 'news': {
        const { news, version } = message
        if (news.kind !== 'listener_failed') ports.told(id, news, version)
        else failListener({ port: news.port, error: news.error })
        return
      }
      case 'drained':
        member.thread.terminate()
        return
      default: {
        member.pulsesMissed = 0
        if (message.kind === 'counters') counts.told(id, message.answer)
        const question = questions.get(message.id)
        question?.take(message.answer)
        if (question !== undefined) tick(question.waiting, id)
      }
    }
  }

  /** Each loop tells of it, at each try: once is enough for everybody else. */
  function failListener(failure: PortFailure): void {
    const known = standing().find(({ port }) => port === failure.port)
    failures.set(failure.port, { ...failure, at: clock.now() })
    if (known?.error !== failure.error) ports.listenerFailed(failure)
  }

  function standing(): PortFailure[] {
    return [...failures.values()]
      .filter(({ at }) => clock.now() - at < FAILURE_MS)
      .map(({ port, error }) => ({ port, error }))
  }

  function end(id: string, error: string): void {
    const member = members.get(id)
    if (member === undefined) return
    members.delete(id)
    counts.gone(id)
    const wasAsked = member.isDraining || isEnding
    for (const waiting of [...updates, ...[...questions.values()].map((one) => one.waiting)]) {
      tick(waiting, id)
    }
    ports.gone(id, member.index, wasAsked ? undefined : error)
    if (members.size === 0) for (const done of lastGone) done()
    if (!wasAsked) replace(member, error)
    else if (member.index < wanted) start(member.index)
  }

  function replace({ index, startedAt }: Member, error: string): void {
    const isYoung = clock.now() - startedAt < SHORT_LIFE_MS
    const deaths = isYoung ? (youngDeaths.get(index) ?? 0) + 1 : 0
    youngDeaths.set(index, deaths)
    const waitMs = deaths < 2 ? 0 : Math.min(RESTART_MS_MIN * 2 ** (deaths - 2), RESTART_MS_MAX)
    log.error({ loop: index, error, againInMs: waitMs }, 'a loop ended; it is started again')
    const again = clock.after(waitMs, () => {
      restarts.delete(index)
      if (index < wanted) start(index)
    })
    restarts.set(index, again)
  }

  function tick(waiting: Waiting, id: string): void {
    if (waiting.members.delete(id) && waiting.members.size === 0) waiting.done()
  }

  function pulse(): void {
    stopPulse = clock.after(PULSE_MS, () => {
      for (const member of members.values()) {
        member.pulsesMissed += 1
        if (member.pulsesMissed > PULSES_MISSED_MAX) {
          log.error({ loop: member.index }, 'a loop does not turn any more; it is ended')
          member.thread.terminate()
        } else member.thread.post({ kind: 'ask', what: 'counters', id: 0 })
      }
      pulse()
    })
  }

  /** What the members answer in time. */
  function ask<T>(what: LoopQuestion): Promise<T[]> {
    const all = [...members.values()]
    if (all.length === 0) return Promise.resolve([])
    asked += 1
    const id = asked
    const answers: T[] = []
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        questions.delete(id)
        resolve(answers)
      }
      const cancel = clock.after(ANSWER_MS_MAX, done)
      const waiting = { members: new Set(all.map((member) => member.id)), done }
      questions.set(id, { waiting, take: (answer) => answers.push(answer as T) })
      for (const { thread } of all) thread.post({ kind: 'ask', what, id })
    })
  }

  function finish(member: Member, graceMs: number): void {
    member.isDraining = true
    member.thread.post({ kind: 'drain', graceMs })
  }

  return {
    resize(least, inherited = []) {
      if (wanted === 0) pulse()
      // Each socket needs a loop of its own; if those are too many, the next call lets some finish.
      const count = Math.max(least, inherit(inherited))
      wanted = count
      const serving = [...members.values()].filter(({ isDraining }) => !isDraining)
      for (const member of serving) if (member.index >= count) finish(member, SHRINK_GRACE_MS)
      const taken = new Set([...members.values()].map(({ index }) => index))
      for (let index = 0; index < count; index += 1) {
        if (!taken.has(index) && !restarts.has(index)) start(index)
      }
    },
    update(next) {
      table = next
      counts.retain(next.routes, clock.now())
      return new Promise((resolve) => {
        const done = () => {
          updates.delete(update)
          resolve(standing())
          if (updates.size === 0) for (const idle of onUpdated.splice(0)) idle()
        }
        const update = { members: new Set(members.keys()), done, version: next.version }
        updates.add(update)
        for (const member of members.values()) post(member, next)
        if (members.size === 0) done()
      })
    },
    async updated() {
      if (updates.size > 0) await new Promise<void>((resolve) => onUpdated.push(resolve))
    },
    async counters() {
      const answers = await ask<DataPlaneCounters>('counters')
      if (answers.length > 0) return counts.sum()
      throw new TucanoError('unavailable', 'no loop of the balancer answers')
    },
    async listening() {
      return (await ask<ListeningPort[]>('listening')).flat()
    },
    drain(graceMs) {
      isEnding = true
      stopPulse()
      for (const member of members.values()) finish(member, graceMs)
      if (members.size === 0) return Promise.resolve()
      const cancel = clock.after(graceMs + HANG_MS, () => {
        for (const { thread } of members.values()) thread.terminate()
      })
      return new Promise<void>((resolve) => lastGone.add(resolve)).finally(cancel)
    },
  }
}
