// What an agent relies on in a process table, checked on the played one and on the machine's own.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openBox } from '#agentd/isolation/box.io.ts'
import type { ProgramEnd, ProgramMark, Programs } from '#agentd/ports.ts'
import { createPrograms, type MachinePrograms } from '#agentd/runner/programs.io.ts'
import type { CheckWay } from '#shared/wire-checks.ts'
import { createVirtualClock } from '#test/fakes/clock.ts'
import { createFakeMachine } from '#test/fakes/programs.ts'
import { removeGroups } from '#test/helpers/groups.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

type End = { id: string; mark: ProgramMark; end: ProgramEnd }
type World = {
  programs: Programs
  /** The next end of a program. */
  nextEnd(): Promise<End>
  /** Settles the call, moving time where time has to be moved. */
  run<T>(call: Promise<T>): Promise<T>
  /** Probes until the answer is as wanted. */
  untilHealthy(port: number): Promise<void>
  clean(id: string): Promise<void>
  /** A second life of the agent, after the first was killed. */
  again(): World | Promise<World>
}

const GET: CheckWay = {
  kind: 'http',
  path: '/health',
  status: [[200, 399]],
  headers: {},
  answer_headers: {},
  answer_body: [],
}
const RANGE = { from: 23_000, to: 23_999 }
const PROGRAM = ['node', join(import.meta.dirname, '../fixtures/program.ts')]
let count = 0

const worlds: Record<string, () => World | Promise<World>> = {
  played: playedWorld,
  real: realWorld,
  'real, in control groups': groupedWorld,
}

describe.each(Object.keys(worlds))('programs, %s', (kind) => {
  const open = async () => await (worlds[kind] as () => World | Promise<World>)()

  async function started(world: World, env: Record<string, string> = {}) {
    const id = newId()
    const port = (await world.run(world.programs.freePort(RANGE, new Set()))) as number
    const mark = await world.run(
      world.programs.start({ id, argv: PROGRAM, folder: '/tmp', env: { ...env, PORT: `${port}` } }),
    )
    onTestFinished(() => world.clean(id), 10_000)
    return { id, port, mark }
  }

  test('M17: a started program serves on its port, has a mark and uses memory', async () => {
    const world = await open()
    const { id, port, mark } = await started(world)
    await world.untilHealthy(port)
    expect(await world.run(world.programs.isPortFree(port))).toBe(false)
    expect(mark.boot).toBe(world.programs.boot())
    const usage = await world.run(world.programs.usage(id, mark))
    expect(usage?.memory).toBeGreaterThan(0)
    expect(await world.run(world.programs.strays())).toContain(id)
  })

  test('F04: its end is told once, with its exit code', async () => {
    const world = await open()
    const { id, mark } = await started(world, { LIFE_MS: '150', CODE: '7' })
    expect(await world.nextEnd()).toEqual({ id, mark, end: { code: 7, signal: undefined } })
    expect(await world.run(world.programs.adopt(id, mark))).toBe(false)
  })

  test('S17: SIGTERM ends it, and a program that ignores it is ended by SIGKILL', async () => {
    const world = await open()
    const polite = await started(world)
    await world.untilHealthy(polite.port)
    world.programs.signal(polite.id, polite.mark, 'SIGTERM')
    expect(await world.nextEnd()).toMatchObject({ id: polite.id, end: { code: 0 } })

    const stubborn = await started(world, { IGNORE_TERM: '1' })
    await world.untilHealthy(stubborn.port)
    world.programs.signal(stubborn.id, stubborn.mark, 'SIGTERM')
    expect(await world.run(world.programs.adopt(stubborn.id, stubborn.mark))).toBe(true)
    world.programs.signal(stubborn.id, stubborn.mark, 'SIGKILL')
    expect(await world.nextEnd()).toMatchObject({ id: stubborn.id, end: { signal: 'SIGKILL' } })
  })

  test('F03: the next agent adopts it and learns how it ends', async () => {
    const first = await open()
    const { id, port, mark } = await started(first)
    await first.untilHealthy(port)
    const second = await first.again()
    expect(await second.run(second.programs.adopt(id, mark))).toBe(true)
    second.programs.signal(id, mark, 'SIGTERM')
    expect(await second.nextEnd()).toEqual({ id, mark, end: { code: 0, signal: undefined } })
    expect(await second.run(second.programs.strays())).not.toContain(id)
  })

  test('F03: the next agent learns how it ended while no agent ran', async () => {
    const first = await open()
    const { id, port, mark } = await started(first)
    await first.untilHealthy(port)
    first.programs.signal(id, mark, 'SIGTERM')
    await first.nextEnd()
    const second = await first.again()
    expect(await second.run(second.programs.adopt(id, mark))).toBe(false)
    const end = { code: 0, signal: undefined }
    expect(await second.run(second.programs.endOf(id, mark))).toEqual(end)
    const unknown = { ...mark, pid: mark.pid + 1 }
    const unknownEnd = { code: undefined, signal: undefined }
    expect(await second.run(second.programs.endOf(id, unknown))).toEqual(unknownEnd)
  })

  test('F24: another start time or another boot is another program: neither adopted nor signalled', async () => {
    const world = await open()
    const { id, port, mark } = await started(world)
    await world.untilHealthy(port)
    for (const other of [
      { ...mark, startTime: `${mark.startTime}1` },
      { ...mark, boot: 'another boot' },
    ]) {
      expect(await world.run(world.programs.adopt(id, other))).toBe(false)
      world.programs.signal(id, other, 'SIGKILL')
    }
    expect(await world.run(world.programs.adopt(id, mark))).toBe(true)
  })

  test('F30: a sweep ends what is left of an instance, also what left its group', async () => {
    const world = await open()
    const { id, port, mark } = await started(world, { ESCAPE: '1' })
    await world.untilHealthy(port)
    world.programs.signal(id, mark, 'SIGTERM')
    await world.nextEnd()
    expect(await world.run(world.programs.strays())).toContain(id)
    await world.run(world.programs.sweep(id))
    expect(await world.run(world.programs.strays())).not.toContain(id)
  })

  const limited = kind === 'real' || process.getuid?.() !== 0 ? () => {} : test
  limited('F32: whoever ran out of processes ends with that word', async () => {
    const world = await open()
    const id = newId()
    const forks = 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 60 & done; exit 2'
    const [argv, limits] = [['/bin/sh', '-c', forks], { pids: 8 }]
    const given = { env: { STARVE: '1', LIFE_MS: '10', CODE: '2', PORT: '1' }, limits }
    const mark = await world.run(world.programs.start({ id, argv, folder: '/tmp', ...given }))
    const shortages = [{ of: 'pids', limit: 8 }]
    expect(await world.nextEnd()).toMatchObject({ id, mark, end: { code: 2, shortages } })
    expect(await world.run(world.programs.shortages(id))).toEqual(shortages)
    expect(world.programs.isolation().mode).toMatch(/^v[12]$/)
    await world.run(world.programs.sweep(id))
  })

  test('Q11: a check answers in words, whatever it meets', async () => {
    const world = await open()
    const free = (await world.run(world.programs.freePort(RANGE, new Set()))) as number
    const mark = { pid: 1, startTime: '0', boot: world.programs.boot() }
    const check = (port: number) => {
      return world.run(world.programs.probe({ id: 'x', mark, port, way: GET, timeoutMs: 500 }))
    }
    expect(await check(free)).toEqual({ ok: false, words: 'connection refused' })
    const { port } = await started(world)
    await world.untilHealthy(port)
    expect(await check(port)).toMatchObject({ ok: true, words: expect.stringMatching(/^HTTP 200/) })
  })

  test('Q11: a command passes with exit code 0, and is run as its program is', async () => {
    const world = await open()
    const { id, port, mark } = await started(world, { HEALTHY_CODE: '0' })
    await world.untilHealthy(port)
    const run = (argv: string[], timeoutMs = 10_000) => {
      const way = { kind: 'command', argv } as const
      return world.run(world.programs.probe({ id, mark, port, way, timeoutMs }))
    }
    expect(await run(['sh', '-c', `test "$PORT" = ${port} && exit "$HEALTHY_CODE"`])).toEqual({
      ok: true,
      words: 'sh: exit code 0',
    })
    world.programs.signal(id, mark, 'SIGTERM')
    await world.nextEnd()
    expect(await run(['true'])).toMatchObject({ ok: false })
  })

  test('Q08: a free port is not one that is taken, and a range can be used up', async () => {
    const world = await open()
    const { port } = await started(world)
    await world.untilHealthy(port)
    const only = { from: port, to: port }
    expect(await world.run(world.programs.freePort(only, new Set()))).toBeUndefined()
    const next = { from: port + 1, to: port + 1 }
    expect(await world.run(world.programs.freePort(next, new Set([port + 1])))).toBeUndefined()
  })
})

function newId(): string {
  count += 1
  return `contract-${process.pid}-${count}`
}

function ends(programs: Programs): () => Promise<End> {
  const waiting: ((end: End) => void)[] = []
  const known: End[] = []
  programs.onEnd((id, mark, end) => {
    const told = { id, mark, end }
    const next = waiting.shift()
    if (next === undefined) known.push(told)
    else next(told)
  })
  return () => {
    const first = known.shift()
    if (first !== undefined) return Promise.resolve(first)
    return new Promise((resolve) => waiting.push(resolve))
  }
}

const quiet = () => {}
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }

function realWorld(folder = temporaryFolder()): World {
  const options = { dataFolder: folder, host: '127.0.0.1', log }
  return worldOf(createPrograms(options), () => realWorld(folder))
}

/** As the same user, so that it works for whoever runs it. */
async function groupedWorld(folder = temporaryFolder()): Promise<World> {
  const secretsFolder = join(folder, 'secrets')
  const box = await openBox({ dataFolder: folder, secretsFolder, user: 'nobody-at-all', log })
  onTestFinished(() => removeGroups(folder), 10_000)
  const options = { dataFolder: folder, host: '127.0.0.1', log, box, secretsFolder }
  return worldOf(createPrograms(options), () => groupedWorld(folder))
}

function worldOf(programs: MachinePrograms, again: World['again']): World {
  onTestFinished(() => programs[Symbol.dispose]())
  const nextEnd = ends(programs)
  return {
    programs,
    nextEnd,
    run: (call) => call,
    async untilHealthy(port) {
      for (let tries = 0; tries < 2_000; tries += 1) {
        const mark = { pid: 1, startTime: '0', boot: programs.boot() }
        const check = { id: 'x', mark, port, way: GET, timeoutMs: 1_000 }
        const answer = await programs.probe(check)
        if (answer.ok) return
        await pause(5)
      }
      throw new Error('never healthy')
    },
    clean: (id) => programs.sweep(id),
    again() {
      // No child's end is heard any more, as after kill -9.
      programs[Symbol.dispose]()
      return again()
    },
  }
}

function playedWorld(): World {
  const clock = createVirtualClock()
  const machine = createFakeMachine({
    clock,
    behave: ({ env }) => ({
      ...(env.LIFE_MS === undefined ? {} : { endsAfterMs: Number(env.LIFE_MS) }),
      ...(env.CODE === undefined ? {} : { code: Number(env.CODE) }),
      ...(env.IGNORE_TERM === undefined ? {} : { termMs: Number.POSITIVE_INFINITY }),
      ...(env.ESCAPE === undefined ? {} : { leavesChild: true }),
      ...(env.STARVE === undefined ? {} : { shortages: [{ of: 'pids', limit: 8 }] }),
    }),
  })

  async function run<T>(call: Promise<T>): Promise<T> {
    let isDone = false
    const mark = () => {
      isDone = true
    }
    call.then(mark, mark)
    await clock.until(() => isDone)
    return call
  }

  function life(): World {
    const programs = machine.open('agent')
    const nextEnd = ends(programs)
    return {
      programs,
      clean: async () => {},
      nextEnd: () => run(nextEnd()),
      run,
      untilHealthy: () => clock.advance(100),
      again: life,
    }
  }
  return life()
}
