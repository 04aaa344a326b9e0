// Liveness (Q04, Q05): when a worker is suspect, when dead, and when nothing is to be believed.

import { describe, expect, test } from 'vitest'
import { judge, type Limits, massFailure, type Sighting } from '#ctld/agent-manager/judge.ts'

const limits: Limits = {
  missedReports: 3,
  livenessMs: undefined,
  probes: 2,
  probeMs: 1_000,
  startupGraceMs: 15_000,
  restartAttempts: 3,
  restartBackoffMs: 5_000,
}

const seen: Sighting = {
  seenAt: 100_000,
  hasReported: true,
  intervalMs: 2_000,
  failedProbes: 0,
  isProbing: false,
  lastProbeAt: Number.NEGATIVE_INFINITY,
  attempts: 0,
  isRestarting: false,
  lastAttemptAt: Number.NEGATIVE_INFINITY,
}

describe('Q04', () => {
  test('a worker is suspect after three of its own intervals, not before', () => {
    expect(judge('alive', seen, limits, 105_999)).toMatchObject({ state: 'alive', wakeAt: 106_000 })
    expect(judge('alive', seen, limits, 106_000)).toMatchObject({
      state: 'suspect',
      order: 'probe',
      why: 'no report for 6.0 s',
    })
  })

  test('the patience follows the interval that the agent tells', () => {
    const quick = { ...seen, intervalMs: 500 }
    expect(judge('alive', quick, limits, 101_500).state).toBe('suspect')
  })

  test('liveness_timeout is the one knob that overrides it', () => {
    const knob = { ...limits, livenessMs: 60_000 }
    expect(judge('alive', seen, knob, 159_999).state).toBe('alive')
    expect(judge('alive', seen, knob, 160_000).state).toBe('suspect')
  })

  test('silence alone kills nobody: it takes two failed probes', () => {
    const once = { ...seen, failedProbes: 1 }
    expect(judge('suspect', once, limits, 120_000)).toMatchObject({
      state: 'suspect',
      order: 'probe',
    })
    const twice = { ...seen, failedProbes: 2 }
    expect(judge('suspect', twice, limits, 120_000)).toMatchObject({
      state: 'reviving',
      why: 'no report for 20.0 s and 2 probes of its agent failed',
    })
  })

  test('a probe that is refused at once still takes its second: an agent may be restarting', () => {
    const twice = { ...seen, failedProbes: 2, lastProbeAt: 119_500 }
    expect(judge('suspect', twice, limits, 120_000)).toMatchObject({
      state: 'suspect',
      order: 'nothing',
      wakeAt: 120_500,
    })
    expect(judge('suspect', twice, limits, 120_500).state).toBe('reviving')
  })

  test('while a probe is under way nothing is decided', () => {
    const probing = { ...seen, isProbing: true }
    expect(judge('suspect', probing, limits, 120_000)).toMatchObject({
      state: 'suspect',
      order: 'nothing',
    })
  })

  test('a silent worker whose agent answers stays suspect and is asked again after a pause', () => {
    const answered = { ...seen, lastProbeAt: 120_000 }
    expect(judge('suspect', answered, limits, 120_500)).toMatchObject({
      state: 'suspect',
      order: 'nothing',
      wakeAt: 121_000,
    })
    expect(judge('suspect', answered, limits, 121_000).order).toBe('probe')
  })

  test('a report makes a suspect alive again', () => {
    expect(judge('suspect', { ...seen, seenAt: 119_000 }, limits, 120_000).state).toBe('alive')
  })
})

describe('Q05', () => {
  test('three restart attempts, five seconds apart, then it is dead', () => {
    const first = judge('reviving', seen, limits, 120_000)
    expect(first).toMatchObject({ state: 'reviving', order: 'restart' })
    const judgedAfter = (attempts: number, now: number) =>
      judge('reviving', { ...seen, attempts, lastAttemptAt: 120_000 }, limits, now)
    expect(judgedAfter(1, 124_999)).toMatchObject({ order: 'nothing', wakeAt: 125_000 })
    expect(judgedAfter(1, 125_000)).toMatchObject({ order: 'restart' })
    expect(judgedAfter(3, 124_999)).toMatchObject({ state: 'reviving' })
    expect(judgedAfter(3, 125_000)).toMatchObject({
      state: 'dead',
      why: '3 restart attempts failed',
    })
  })

  test('an attempt under way is waited for', () => {
    const restarting = { ...seen, isRestarting: true }
    expect(judge('reviving', restarting, limits, 999_000)).toMatchObject({ order: 'nothing' })
  })
})

describe('T05', () => {
  test('a worker that never reported has the start-up grace', () => {
    const never = { ...seen, hasReported: false }
    expect(judge('unknown', never, limits, 114_999).state).toBe('unknown')
    expect(judge('unknown', never, limits, 115_000)).toMatchObject({
      state: 'suspect',
      why: "not seen since the controller's start 15.0 s ago",
    })
  })
})

describe('mass failure', () => {
  const node = (name: string, vanishedAt: number | undefined) => ({
    name,
    state: vanishedAt === undefined ? ('alive' as const) : ('suspect' as const),
    vanishedAt,
  })

  test('two of three that vanish within the window are one event', () => {
    const nodes = [node('w1', 1_000), node('w2', 9_000), node('w3', undefined)]
    expect(massFailure(nodes, 30_000, 10_000)).toEqual(['w1', 'w2'])
  })

  test('one of two is not more than half, and a single worker never counts', () => {
    expect(massFailure([node('w1', 1_000), node('w2', undefined)], 30_000, 2_000)).toEqual([])
    expect(massFailure([node('w1', 1_000)], 30_000, 2_000)).toEqual([])
  })

  test('deaths that lie further apart than the window are separate events', () => {
    const nodes = [node('w1', 1_000), node('w2', 60_000), node('w3', undefined)]
    expect(massFailure(nodes, 30_000, 60_000)).toEqual([])
  })
})
