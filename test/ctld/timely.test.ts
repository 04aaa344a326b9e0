// A controller that starts after the wall clock was set back finds instants that lie in the future.

import { expect, test } from 'vitest'
import { createWorld, factsOf } from '#ctld/discovery/world.ts'
import type { Rebalance } from '#shared/model.ts'
import { parseTopology } from '#shared/topology.ts'
import { aDocument, anInstance } from '#test/helpers/stored.ts'

const NOW = 1_000_000_000
const LATE = NOW + 86_400_000
const MINUTE = 60_000

const text = [
  'topology:',
  '  - { name: c1, kind: ctl, ip: 10.0.0.1 }',
  '  - { name: w1, kind: worker, ip: 10.0.0.2 }',
  'rebalance: { automatic: true, after: 10m, pause: 1m }',
].join('\n')
const config = parseTopology(text, 'topology.yaml')

function worldOf(rebalance: Partial<Rebalance> = {}) {
  const drain = { since: LATE, until: LATE + 5 * MINUTE, force: true, isLate: false }
  const mark = { name: 'w1', state: 'alive', changedAt: LATE, why: '', drained: true } as const
  const begun = { id: 'r1', by: 'controller', state: 'running', why: '', done: 0 } as const
  const document = {
    ...aDocument(1),
    nodes: [{ ...mark, cordoned: false, leaving: null, drain }],
    rebalance: { ...begun, moves: [], createdAt: LATE, nextAt: LATE, ...rebalance },
    rebalanceDueAt: LATE,
  }
  const instances = [anInstance('i1', { failures: [{ node: 'w1', at: LATE }] })]
  const loaded = { document, instances, deployments: [], lastEventCursor: 0, notices: [] }
  return createWorld(loaded, config, NOW)
}

test('F17: a drain has the time that it was given, and not a day more', () => {
  expect(worldOf().tables.nodes.get('w1')?.drain).toMatchObject({
    since: NOW,
    until: NOW + 5 * MINUTE,
  })
})

test('F17: a rebalance goes on after its pause, gives up in time, and begins when it is due', () => {
  const { rebalance, rebalanceDueAt } = factsOf(worldOf({ movingSince: LATE }))
  expect(rebalance).toMatchObject({ createdAt: NOW, movingSince: NOW, nextAt: NOW + MINUTE })
  expect(rebalanceDueAt).toBe(NOW + 10 * MINUTE)
})

test('F17: failures speak against a worker for no longer than they should', () => {
  expect(worldOf().tables.instances.get('i1')?.failures).toEqual([{ node: 'w1', at: NOW }])
})
