// The CLI may not import the controller, so it has types of its own for what the API answers.
// They are held to the schemas here: what the API gives must be what the CLI reads.

import { expect, expectTypeOf, test } from 'vitest'
import type { z } from 'zod'
import type {
  BalancerAnswer,
  ConfigAnswer,
  ConfigVersionAnswer,
  ExplainAnswer,
  Frozen,
  Incident,
  NodeAnswer,
  Pending,
  SecretAnswer,
  SecretSetAnswer,
  ServiceDetail,
  ServiceSummary,
} from '#cli/answers.ts'
import { eventLine } from '#cli/event-line.ts'
import { bytesText, instanceState, shortIds, since } from '#cli/words.ts'
import type * as api from '#ctld/api/answers.ts'
import type { balancerAnswer } from '#ctld/api/balancer-answer.ts'
import type * as explainApi from '#ctld/api/explain-routes.ts'
import type * as nodeApi from '#ctld/api/node-answers.ts'
import type * as secretApi from '#ctld/api/secret-routes.ts'
import { anInstance } from '#test/fakes/ctld.ts'

test('the types of the CLI are those of the API', () => {
  expectTypeOf<z.output<typeof api.serviceSummaryAnswer>>().toExtend<ServiceSummary>()
  // This one the other way round: an optional key of a schema may be there and undefined.
  expectTypeOf<ServiceDetail>().toExtend<z.output<typeof api.serviceDetailAnswer>>()
  expectTypeOf<z.output<typeof api.pendingAnswer>>().toExtend<Pending>()
  expectTypeOf<z.output<typeof nodeApi.nodeAnswer>>().toExtend<NodeAnswer>()
  expectTypeOf<z.output<typeof balancerAnswer>>().toExtend<BalancerAnswer>()
  expectTypeOf<explainApi.ExplainAnswer>().toExtend<ExplainAnswer>()
  expectTypeOf<z.output<typeof secretApi.secretAnswer>>().toExtend<SecretAnswer>()
  expectTypeOf<z.output<typeof secretApi.secretSetAnswer>>().toExtend<SecretSetAnswer>()
  expectTypeOf<z.output<typeof nodeApi.frozenAnswer>>().toExtend<Frozen>()
  expectTypeOf<z.output<typeof api.incidentAnswer>>().toExtend<Incident>()
  expectTypeOf<z.output<typeof api.configAnswer>>().toExtend<ConfigAnswer>()
  expectTypeOf<z.output<typeof api.configVersionAnswer>>().toExtend<ConfigVersionAnswer>()
})

const paint = (_tone: string, text: string) => text
const event = (kind: string, text: string, fields: Record<string, string | number | boolean>) =>
  eventLine({ cursor: 1, at: 0, kind, text, fields }, { wide: false, paint }).slice(10)

test('a change of state is a sentence, other events are told with their fields', () => {
  const fields = { instance: '0-12345678', service: 'api', node: 'w1', attempt: 1, why: 'ok' }
  const change = { ...fields, was: 'deploying', now: 'started', healthy: true }
  expect(event('instance.started', 'instance changed', change)).toBe(
    'instance 12345678 of api on w1: deploying -> started (ok)',
  )
  const sick = { ...change, was: 'started', healthy: false, why: 'HTTP 503' }
  expect(event('instance.started', 'instance changed', sick)).toBe(
    'instance 12345678 of api on w1: unhealthy (HTTP 503)',
  )
  const given = { ...change, was: 'started', why: 'one of 3' }
  expect(event('instance.admitted', 'instance changed', given)).toBe(
    'instance 12345678 of api on w1: gets requests (one of 3)',
  )
  expect(event('node.dead', 'node changed', { node: 'w1', was: 'reviving', now: 'dead' })).toBe(
    'node w1: reviving -> dead',
  )
  expect(event('node.drained', 'node changed', { node: 'w1' })).toBe('node w1: drained')
  expect(event('node.undrained', 'node changed', { node: 'w1' })).toBe(
    'node w1: takes instances again',
  )
  const traffic = { service: 'api', was: 'open', now: 'paused', why: 'for 30 s' }
  expect(event('service.paused', 'traffic changed', traffic)).toBe(
    'traffic of api: open -> paused (for 30 s)',
  )
  const deployment = { deployment: 'd-12345678', service: 'api', state: 'deploying', why: '' }
  expect(event('deployment.deploying', 'deployment changed', deployment)).toBe(
    'deployment 12345678 of api: deploying',
  )
  expect(event('config.changed', 'configuration changed', { version: 2, by: 'a b' })).toBe(
    'configuration changed  version=2 by="a b"',
  )
})

test('short ids are as long as it takes to tell them apart', () => {
  expect(shortIds(['a-00000001', 'b-00000002'])('a-00000001')).toBe('00000001')
  expect(shortIds(['a100000001', 'b200000001'])('a100000001')).toBe('100000001')
})

test('times and sizes in words', () => {
  expect([since(0, 999), since(0, 90_000), since(0, 180_000), since(9, 0)]).toEqual([
    '999 ms',
    '90 s',
    '3 min',
    '0 ms',
  ])
  expect(since(0, 5 * 86_400_000)).toBe('5 d')
  expect([bytesText(5), bytesText(2_048), bytesText(3 * 1024 ** 3)]).toEqual([
    '5 B',
    '2.0 KiB',
    '3.0 GiB',
  ])
})

test.each([
  [{ state: 'started', healthy: true }, 'healthy'],
  [{ state: 'started', healthy: true, admitted: false }, 'standing by'],
  [{ state: 'started', healthy: false, phase: 'backoff' }, 'restarting'],
  [{ state: 'deploying', phase: 'building', attempt: 2 }, 'building (try 2)'],
  [{ state: 'deploying', phase: 'crashed', retryAt: 5 }, 'waits to retry'],
  [{ state: 'terminating', stopTry: 0 }, 'draining'],
  [{ state: 'terminating', stopTry: 1 }, 'stopping'],
  [{ state: 'unexpected_crashed' }, 'crashed'],
] as const)('%j is said as %s', (over, words) => {
  expect(instanceState(anInstance(over)).text).toBe(words)
})
