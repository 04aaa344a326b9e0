// A machine's process table on a virtual clock. It outlives its agents, as a real one does, and
// can be rebooted. What a program does is told by a behaviour, chosen by its id or its argv.

import type { ProgramEnd, ProgramMark, Programs, Shortage } from '#agentd/ports.ts'
import type { Clock } from '#shared/ports.ts'
import type { InstanceLimits, Isolation } from '#shared/wire.ts'
import { createFakeChecks, type FakeChecks } from './checks.ts'

export type Behaviour = {
  /** Its health check passes from then on; Infinity: never. */
  healthyAfterMs?: number
  /** It ends by itself, `code` being its exit code. */
  endsAfterMs?: number
  code?: number
  /** How long it takes after SIGTERM; Infinity: it ignores the signal. */
  termMs?: number
  /** It leaves a child that left the group and lives on. */
  leavesChild?: boolean
  /** Starting it fails with these words. */
  cannotStart?: string
  /** Somebody else binds its port before it does: it ends at once with code 1. */
  portTaken?: boolean
  output?: string[]
  /** What it has run out of when it ends. */
  shortages?: Shortage[]
}

export type Start = {
  id: string
  argv: readonly string[]
  folder: string
  env: Readonly<Record<string, string>>
  files?: readonly { name: string; text: string }[]
  volumes?: { service: string; names: readonly string[] }
  limits?: InstanceLimits | undefined
  user?: string | undefined
  /** 1, 2, …: how often this id was started on this machine. */
  count: number
}

export type FakeProgram = {
  id: string
  agent: string
  mark: ProgramMark
  port: number
  startedAt: number
  /** false: it only lives on as children that left its group. */
  isRunning: boolean
  isFrozen: boolean
  hasChild: boolean
  behaviour: Behaviour
}

export type FakeMachine = Omit<FakeChecks, 'answer'> & {
  /** The programs port of one life of an agent; the port of a former life is dead. */
  open(agent: string): Programs
  /** The agent was killed: it hears of nothing any more. */
  close(agent: string): void
  /** All programs are gone, and pids begin anew. */
  reboot(): void
  /** What runs, children included, by start. */
  running(): FakeProgram[]
  starts(): Start[]
  /** kill(1) from outside. */
  kill(id: string, signal?: 'SIGKILL' | 'SIGTERM'): void
  /** SIGSTOP: it is there, but answers nothing. */
  freeze(id: string, isFrozen: boolean): void
  /** Somebody else listens on the port, or stops to. */
  occupy(port: number, isTaken: boolean): void
  /** Signals that reached a program, and those that its mark did not fit. */
  signals(): { id: string; signal: string; isDelivered: boolean }[]
}

/** Every answer of the machine takes this long. */
const STEP_MS = 1
const PLAYED: Isolation = { mode: 'v2', why: 'played', user: 'player', user_why: 'played' }

export function createFakeMachine(ports: {
  clock: Clock
  /** How a program behaves; by default it is healthy after 20 ms and ends 10 ms after SIGTERM. */
  behave?: (start: Start) => Behaviour
}): FakeMachine {
  const { clock } = ports
  const behave: (start: Start) => Behaviour = ports.behave ?? (() => ({}))
  const table = new Set<FakeProgram>()
  const starts: Start[] = []
  const ends = new Map<string, ProgramEnd>()
  const signals: { id: string; signal: string; isDelivered: boolean }[] = []
  const occupied = new Set<number>()
  const checks = createFakeChecks({ clock })
  const lives = new Map<string, Life>()
  let boots = 1
  let pids = 100

  function end(program: FakeProgram, how: ProgramEnd): void {
    if (!program.isRunning || !table.has(program)) return
    program.isRunning = false
    const { shortages } = program.behaviour
    const full = shortages === undefined ? how : { ...how, shortages }
    ends.set(nameOf(program.mark), full)
    if (!program.hasChild) table.delete(program)
    const life = lives.get(program.agent)
    if (life === undefined || life.isOver) return
    clock.after(STEP_MS, () => {
      if (life.isOver || !life.watched.has(program)) return
      for (const listener of life.listeners) listener(program.id, program.mark, full)
    })
  }

  function after(program: FakeProgram, ms: number | undefined, how: ProgramEnd): void {
    if (ms !== undefined && ms !== Number.POSITIVE_INFINITY) {
      clock.after(ms, () => end(program, how))
    }
  }

  function deliver(program: FakeProgram, signal: string): void {
    if (signal === 'SIGKILL') end(program, { code: undefined, signal })
    else if (!program.isFrozen) {
      after(program, program.behaviour.termMs ?? 10, { code: 0, signal: undefined })
    }
  }

  function start(agent: string, start: Omit<Start, 'count'>): FakeProgram {
    const count = starts.filter(({ id }) => id === start.id).length + 1
    const known = { ...start, count }
    starts.push(known)
    const behaviour = behave(known)
    if (behaviour.cannotStart !== undefined) throw new Error(behaviour.cannotStart)
    pids += 1
    const port = Number(start.env.PORT)
    const program: FakeProgram = {
      id: start.id,
      agent,
      mark: { pid: pids, startTime: String(Math.floor(clock.now())), boot: `boot-${boots}` },
      port,
      startedAt: clock.now(),
      isRunning: true,
      isFrozen: false,
      hasChild: behaviour.leavesChild ?? false,
      behaviour,
    }
    if (behaviour.portTaken) occupied.add(port)
    table.add(program)
    if (isHeld(port, program)) after(program, 5, { code: 1, signal: undefined })
    after(program, behaviour.endsAfterMs, { code: behaviour.code ?? 0, signal: undefined })
    return program
  }

  function isHeld(port: number, except?: FakeProgram): boolean {
    if (occupied.has(port)) return true
    return [...table].some((one) => one.port === port && one.isRunning && one !== except)
  }

  function find(mark: ProgramMark): FakeProgram | undefined {
    return [...table].find(
      ({ mark: one, isRunning }) =>
        isRunning &&
        one.pid === mark.pid &&
        one.startTime === mark.startTime &&
        one.boot === mark.boot,
    )
  }

  function open(agent: string): Programs {
    close(agent)
    const life: Life = { isOver: false, listeners: [], watched: new Set() }
    lives.set(agent, life)
    // A dead agent's questions are never answered.
    const step = (ms = STEP_MS) =>
      new Promise<void>((resolve) => {
        clock.after(ms, () => {
          if (!life.isOver) resolve()
        })
      })
    const outputOf = (id: string) => starts.findLast((one) => one.id === id)

    return {
      boot: () => `boot-${boots}`,
      async start(wanted) {
        await step()
        const program = start(agent, wanted)
        life.watched.add(program)
        await step()
        return program.mark
      },
      async adopt(_id, mark) {
        await step()
        const program = find(mark)
        if (program !== undefined) life.watched.add(program)
        return program !== undefined
      },
      async endOf(_id, mark) {
        await step()
        return ends.get(nameOf(mark)) ?? { code: undefined, signal: undefined }
      },
      onEnd(listener) {
        life.listeners.push(listener)
      },
      signal(id, mark, signal) {
        const program = life.isOver ? undefined : find(mark)
        signals.push({ id, signal, isDelivered: program !== undefined })
        if (program !== undefined) deliver(program, signal)
      },
      async sweep(id) {
        await step()
        for (const program of [...table]) {
          if (program.id !== id || program.agent !== agent) continue
          program.hasChild = false
          end(program, { code: undefined, signal: 'SIGKILL' })
          table.delete(program)
        }
      },
      async strays() {
        await step()
        const mine = [...table].filter((program) => program.agent === agent)
        return [...new Set(mine.map(({ id }) => id))].sort()
      },
      async freePort({ from, to }, taken) {
        await step()
        for (let port = from; port <= to; port += 1) {
          if (!taken.has(port) && !isHeld(port)) return port
        }
        return undefined
      },
      async isPortFree(port) {
        await step()
        return !isHeld(port)
      },
      async probe(probe) {
        const { ok, words, hangs } = checks.answer(table, probe)
        await step(hangs ? probe.timeoutMs : STEP_MS)
        return { ok, words }
      },
      async logTail(id) {
        await step()
        const last = outputOf(id)
        return last === undefined ? [] : (behave(last).output ?? [])
      },
      async usage(_id, mark) {
        return find(mark) && { cpu: 0.1, memory: 1_000_000, processes: 1 }
      },
      async shortages(id) {
        await step()
        const last = outputOf(id)
        return last === undefined ? [] : (behave(last).shortages ?? [])
      },
      isolation: () => PLAYED,
      async forget() {
        await step()
      },
    }
  }

  function close(agent: string): void {
    const life = lives.get(agent)
    if (life !== undefined) life.isOver = true
  }

  function byId(id: string): FakeProgram | undefined {
    return [...table].find((program) => program.id === id && program.isRunning)
  }

  return {
    open,
    close,
    reboot() {
      for (const life of lives.values()) life.isOver = true
      table.clear()
      boots += 1
      pids = 100
    },
    running: () => [...table],
    starts: () => starts,
    kill(id, signal = 'SIGKILL') {
      const program = byId(id)
      if (program !== undefined) deliver(program, signal)
    },
    freeze(id, isFrozen) {
      const program = byId(id)
      if (program !== undefined) program.isFrozen = isFrozen
    },
    setHealthy: checks.setHealthy,
    asked: checks.asked,
    occupy(port, isTaken) {
      if (isTaken) occupied.add(port)
      else occupied.delete(port)
    },
    signals: () => signals,
  }
}

type Life = {
  isOver: boolean
  listeners: ((id: string, mark: ProgramMark, end: ProgramEnd) => void)[]
  watched: Set<FakeProgram>
}

function nameOf({ boot, pid, startTime }: ProgramMark): string {
  return `${boot} ${pid} ${startTime}`
}
