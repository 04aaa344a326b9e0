// Which workers wait for an instance that is never moved.

import { expect, test } from 'vitest'
import { freeHomes } from '#ctld/deployer/homes.ts'
import { Cluster, configOf } from '#test/helpers/cluster.ts'
import { aService } from '#test/helpers/seats.ts'
import { anInstance } from '#test/helpers/stored.ts'

const nodes = new Map(new Cluster('w1', 'w2').nodes.map((node) => [node.name, node]))
const service = aService(configOf('db', 3, { sticky: true }), { homes: ['w1', 'w1', 'w2', 'w9'] })

test('a home is free when nobody is there, as often as it is one, and only while it is there', () => {
  expect(freeHomes(service, [], nodes)).toEqual(['w1', 'w1', 'w2'])
  expect(freeHomes(service, [anInstance('i1')], nodes)).toEqual(['w1', 'w2'])
  const both = [anInstance('i1'), anInstance('i2'), anInstance('i3', { node: 'w2' })]
  expect(freeHomes(service, both, nodes)).toEqual([])
})

test('a drain by force takes a home away, one without force does not', () => {
  const drained = { ...nodes.get('w1')!, drained: true }
  const forced = new Map([...nodes, ['w1', { ...drained, forcedUntil: 1 }]])
  expect(freeHomes(service, [], forced)).toEqual(['w2'])
  expect(freeHomes(service, [], new Map([...nodes, ['w1', drained]]))).toContain('w1')
})

test('what may be moved has no home', () => {
  const config = configOf('db', 3)
  expect(freeHomes(aService(config, { homes: ['w1'] }), [], nodes)).toEqual([])
})
