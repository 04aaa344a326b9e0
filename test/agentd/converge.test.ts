// The decisions and the table of transitions, driven by events in every order a seed can make.

import { expect, test } from 'vitest'
import type { ProgramMark } from '#agentd/ports.ts'
import { type Action, converge } from '#agentd/runner/converge.ts'
import { newProcess, next, type Process, type ProcessEvent } from '#agentd/runner/process.ts'
import { backoffMs, FAILURES_MAX, failuresInRow } from '#agentd/runner/restart.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'
import { spec } from './agent-world.ts'

const START = { now: 0, contact: { heardAt: 0, silenceMsMin: 0 } }

/** One instance in a world that answers when and how the seed says. */
function createPlay(random: Random) {
  let process: Process | undefined = newProcess(spec('a'))
  let wanted: AssignedInstance | undefined = process.page.spec
  let now = 0
  let heardAt = 0
  let pids = 0
  let starts = 0
  const running = new Map<number, ProgramMark>()
  const answers: ProcessEvent[] = []
  let most = 0

  function tell(event: ProcessEvent): void {
    if (process !== undefined) process = next(process, event, now)
  }

  function perform(action: Action): void {
    const is = process as Process
    switch (action.kind) {
      case 'prepare':
        answers.push(
          random.chance(0.9)
            ? { kind: 'prepared', folder: '/x' }
            : { kind: 'not_prepared', failure: { error: 'no' } },
        )
        break
      case 'start': {
        if (random.chance(0.1)) {
          answers.push({ kind: 'not_launched', error: 'no', port: 20_000 })
          break
        }
        pids += 1
        starts += 1
        const mark = { pid: pids, startTime: String(now), boot: 'b' }
        running.set(pids, mark)
        most = Math.max(most, running.size)
        answers.push({ kind: 'launched', mark, port: 20_000 })
        break
      }
      case 'probe':
        answers.push({ kind: 'probed', asked: is.asked, ok: random.chance(0.7), words: 'HTTP' })
        break
      case 'probe_liveness': {
        const answer = { asked: is.askedLiveness, ok: random.chance(0.7), words: 'HTTP' }
        answers.push({ kind: 'liveness_probed', ...answer })
        break
      }
      case 'stop':
      case 'cut_off':
        if (random.chance(0.5)) endAll()
        break
      case 'kill':
        endAll()
        break
      case 'clear':
        running.clear()
        answers.push({
          kind: 'cleared',
          isPortFree: random.chance(0.8),
          logTail: [],
          shortages: [],
          random: random.random(),
        })
        break
      case 'forget':
        process = undefined
        break
      default:
    }
  }

  function endAll(): void {
    for (const [pid, mark] of running) {
      running.delete(pid)
      answers.push({ kind: 'exited', mark, end: { code: 1, signal: undefined } })
    }
  }

  return {
    process: () => process,
    starts: () => starts,
    most: () => most,
    running: () => running.size,
    want(next: AssignedInstance | undefined) {
      wanted = next
      if (next !== undefined) tell({ kind: 'spec', spec: next })
    },
    /** Some answers arrive, some do not yet, and now and then a program dies. */
    step(deathShare: number, isHeard = true) {
      if (random.chance(deathShare)) endAll()
      for (const answer of random.shuffle(answers.splice(0))) {
        if (random.chance(0.7)) tell(answer)
        else answers.push(answer)
      }
      now += random.int(1, 2_000)
      if (isHeard) heardAt = now
      for (let round = 0; round < 20; round += 1) {
        const processes = new Map(process === undefined ? [] : [['a', process]])
        const assigned = new Map(wanted === undefined ? [] : [['a', wanted]])
        const { actions } = converge(assigned, processes, {
          now,
          contact: { heardAt, silenceMsMin: 0 },
        })
        if (actions.length === 0) return
        for (const action of actions) {
          const was = process as Process
          process = next(was, { kind: action.kind }, now)
          expect(process, `${action.kind} in ${was.step.at}`).not.toBe(was)
          perform(action)
        }
      }
      throw new Error('it never comes to rest')
    },
  }
}

test(
  'never two programs of one instance, and a stop always ends, in whatever order things happen',
  forEachSeed(500, (random) => {
    const play = createPlay(random)
    for (let step = 0; step < random.int(0, 60); step += 1) play.step(0.1)
    if (random.chance(0.5)) {
      play.want(spec('a', { want: 'stop' }))
      for (let step = 0; step < 60; step += 1) play.step(0.1)
      expect(play.process()?.page.ended).toBeDefined()
      expect(play.running()).toBe(0)
    }
    play.want(undefined)
    for (let step = 0; step < 60; step += 1) play.step(0.1)
    expect(play.process()).toBeUndefined()
    expect(play.running()).toBe(0)
    expect(play.most()).toBeLessThanOrEqual(1)
  }),
)

test(
  'F05: an attempt whose program keeps dying is started six times at most, but for taken ports',
  forEachSeed(300, (random) => {
    const play = createPlay(random)
    for (let step = 0; step < 2_000; step += 1) play.step(0.5)
    expect(play.process()?.page.ended).toMatch(/^(crashed|failed_to_start)$/)
    const otherPorts = 5 * FAILURES_MAX
    expect(play.starts()).toBeLessThanOrEqual(FAILURES_MAX + otherPorts)
  }),
)

test('gives the same actions in whatever order the instances are told', () => {
  const one = newProcess(spec('a'))
  const two = newProcess(spec('b'))
  const assigned = new Map([['a', spec('a')]])
  const forth = converge(
    assigned,
    new Map([
      ['a', one],
      ['b', two],
    ]),
    START,
  )
  const back = converge(
    assigned,
    new Map([
      ['b', two],
      ['a', one],
    ]),
    START,
  )
  expect(back).toEqual(forth)
  expect(forth.actions).toEqual([
    { kind: 'prepare', id: 'a', why: 'assigned' },
    { kind: 'stop', id: 'b', why: 'it is not assigned to this node (any more)' },
  ])
})

test('Q06: back-off doubles from one second to a minute, within a fifth, and ends after five', () => {
  expect([1, 2, 3, 4, 5].map((failures) => backoffMs(failures, 0.5))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000,
  ])
  expect(backoffMs(1, 0)).toBe(800)
  expect(backoffMs(1, 0.999_999)).toBe(1_200)
  expect(backoffMs(FAILURES_MAX, 0)).toBeUndefined()
  expect(failuresInRow(4, 599_999)).toBe(5)
  expect(failuresInRow(4, 600_000)).toBe(1)
})
