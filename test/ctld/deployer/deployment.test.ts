// How far a deployment has come, read from its service and its instances (S26).

import { describe, expect, test } from 'vitest'
import { isSettled, nextDeployment, watchedUntil } from '#ctld/deployer/deployment.ts'
import type { Deployment, DeploymentState, Instance, Service } from '#shared/model.ts'
import { configOf } from '#test/helpers/cluster.ts'

const NOW = 5_000

type Brief = Partial<Instance> & { state: Instance['state'] }
const serving: Brief = { state: 'started', healthy: true }
const starting: Brief = { state: 'deploying' }
const failed: Brief = { state: 'failed_to_start', failure: { error: 'exited with code 1' } }
const old: Brief = { ...serving, revision: 1, deployment: 'd1' }
const stopping: Brief = { state: 'terminating' }
const stopped: Brief = { state: 'terminated' }
const stuck: Brief = { state: 'failed_to_terminate' }

describe('S26: a deploy of two is', () => {
  const cases: [DeploymentState, string, Brief[]][] = [
    ['deploying', 'before anything serves', [starting, starting]],
    ['deploying', 'while only the old version serves', [old, old, starting]],
    ['partial_ok', 'when one serves', [serving, starting]],
    ['partial_ok', 'when both serve and an old one is left', [serving, serving, old]],
    ['partial_err', 'when one was given up and another is under way', [serving, failed, starting]],
    ['incomplete_running', 'when one was given up and nothing is under way', [serving, failed]],
    ['incomplete_running', 'when all were given up', [failed, failed]],
    ['complete_running', 'when both serve and no old one does', [serving, serving]],
    ['partial_ok', 'when one of them is ill', [serving, { state: 'started', healthy: false }]],
  ]

  test.each(cases)('%s %s', (state, _, instances) => {
    expect(after('deploy', instances).state).toBe(state)
  })
})

describe('S26: a stop is', () => {
  const cases: [DeploymentState, string, Brief[]][] = [
    ['terminating', 'before one has ended', [stopping, stopping]],
    ['partial_term_ok', 'when one has ended', [stopping, stopped]],
    ['partial_term_err', 'when one could not be stopped', [stopping, stuck]],
    ['complete_termination', 'when all have ended', [stopped, stopped]],
    ['incomplete_termination', 'when all but one have ended', [stopped, stuck]],
    ['complete_termination', 'when there was nothing to stop', []],
  ]

  test.each(cases)('%s %s', (state, _, instances) => {
    expect(after('stop', instances).state).toBe(state)
  })
})

test('S26: it is superseded by a newer deployment, whatever it was', () => {
  const newer = { ...service(), deployment: 'd3' }
  expect(nextDeployment(deployment('deploy'), newer, [], NOW).state).toBe('superseded')
})

test('S26: a removal is followed to its end, beyond its service', () => {
  const is = nextDeployment(deployment('remove'), undefined, [], NOW)
  expect(is).toMatchObject({ state: 'complete_termination', finishedAt: NOW })
})

test('S26: what is settled stays as it is, and says when it was', () => {
  const is = after('deploy', [serving, serving])
  expect([isSettled(is), is.finishedAt]).toEqual([true, NOW])
  expect(nextDeployment(is, service(), instances([failed]), NOW + 1)).toBe(is)
})

test('S26: it keeps the newest failure, with what its user needs to mend it', () => {
  const error = 'exited with code 1'
  const first: Brief = { ...failed, id: 'i8', changedAt: 1 }
  const is = after('deploy', [first, { ...failed, id: 'i9', changedAt: 2 }])
  expect(is.failure).toEqual({ error, instance: 'i9', node: 'w1' })
})

test('S26: the failures of a former deployment are not its own', () => {
  const is = after('deploy', [{ ...failed, deployment: 'd1' }, serving, serving])
  expect([is.state, is.failure]).toEqual(['complete_running', undefined])
})

describe('what brings another program is watched', () => {
  const onTrial: Service = {
    ...service(),
    goodRevision: 1,
    revisions: [1, 2].map((revision) => ({ ...anEntry(), revision, program: revision })),
  }
  const step = (was: Deployment, given: Brief[], now: number) =>
    nextDeployment(was, onTrial, instances(given), now)

  test('from when it has taken the last place, for as long as it shall be', () => {
    const watching = step(deployment('deploy'), [serving, serving], NOW)
    expect(watching).toMatchObject({ state: 'watching', watchSince: NOW })
    expect([isSettled(watching), watchedUntil(watching, onTrial)]).toEqual([false, NOW + 10_000])
    expect(step(watching, [serving, serving], NOW + 9_999)).toBe(watching)
    const done = step(watching, [serving, serving], NOW + 10_000)
    expect(done).toMatchObject({ state: 'complete_running', finishedAt: NOW + 10_000 })
  })

  test('anew when it was not whole meanwhile', () => {
    const watching = step(deployment('deploy'), [serving, serving], NOW)
    const ill = step(watching, [serving, { state: 'started', healthy: false }], NOW + 9_000)
    expect(ill.state).toBe('partial_ok')
    expect(ill).not.toHaveProperty('watchSince')
    const again = step(ill, [serving, serving], NOW + 9_500)
    expect(again).toMatchObject({ state: 'watching', watchSince: NOW + 9_500 })
  })

  test('and is not given up: its judge takes it back', () => {
    const was = deployment('deploy')
    expect(step(was, [serving, failed], NOW)).toMatchObject({ state: 'partial_err' })
  })

  test('and it is noted when it came further, not when it fell back', () => {
    const first = step(deployment('deploy'), [old, old, starting], NOW)
    expect(first.progress).toEqual({ reached: -2, at: NOW })
    const further = step(first, [old, old, { ...serving, admitted: false }], NOW + 1)
    expect(further.progress).toEqual({ reached: -1, at: NOW + 1 })
    const back = step(further, [old, old, starting], NOW + 2)
    expect(back.progress).toEqual({ reached: -1, at: NOW + 1 })
  })
})

function anEntry() {
  return { config: configOf('api', 2), at: 10 }
}

function after(kind: 'deploy' | 'stop', given: Brief[]): Deployment {
  return nextDeployment(deployment(kind), service(), instances(given), NOW)
}

function deployment(kind: Deployment['kind']): Deployment {
  const state = kind === 'deploy' ? 'deploying' : 'terminating'
  return { id: 'd2', service: 'api', revision: 2, kind, state, why: 'accepted', createdAt: 10 }
}

function service(): Service {
  const config = configOf('api', 2)
  return {
    name: 'api',
    config,
    revision: 2,
    programRevision: 2,
    revisions: [{ revision: 2, program: 2, config, at: 10 }],
    desired: 'running',
    traffic: { state: 'open' },
    deployment: 'd2',
    createdAt: 1,
    changedAt: 10,
  }
}

function instances(given: Brief[]): Instance[] {
  return given.map((brief, index) => ({
    id: `i${index}`,
    service: 'api',
    revision: 2,
    deployment: 'd2',
    node: 'w1',
    attempt: 1,
    createdAt: 10,
    changedAt: 20,
    why: '',
    healthy: false,
    admitted: brief.healthy === true,
    restarts: 0,
    stopTry: 0,
    ...brief,
  }))
}
