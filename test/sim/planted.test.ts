// A check that cannot fail proves nothing: eight faults planted by hand are each found.

import { expect, test } from 'vitest'
import { find } from './histories.ts'
import { runScenario } from './scenario.ts'
import type { Sabotage } from './world.ts'

test.each<[Sabotage, RegExp]>([
  ['acknowledges before it is on disk', /^I[23]/],
  ['obeys older orders', /^I8/],
  ['does not signal programs', /^I2/],
  ['keeps routes of dead instances', /^I(1|2|4|10):/],
  ['forgets its programs', /^I[25]/],
  ['forgets the requests of a former controller', /^I9/],
  ['exchanges in two steps', /^I10/],
  ['switches half of a group', /^I11/],
])('finds an implementation that %s', async (sabotage, violation) => {
  expect(await find(sabotage, 80)).toMatch(violation)
})

test('one seed is one history', async () => {
  const [once, twice] = [await runScenario(7), await runScenario(7)]
  expect(twice.world.trace).toEqual(once.world.trace)
  expect(once.world.trace.length).toBeGreaterThan(50)
})
