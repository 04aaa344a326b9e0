// When the data plane is asked, and what becomes of a silent one.

import { expect, test } from 'vitest'
import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import { createMeter } from '#ctld/meter/meter.ts'
import type { Log } from '#shared/ports.ts'
import { noCounters } from '#test/fakes/counters.ts'

function rig() {
  const asked: PromiseWithResolvers<DataPlaneCounters>[] = []
  const heard: (DataPlaneCounters | undefined)[] = []
  const warned: string[] = []
  const log: Log = { debug() {}, info() {}, warn: (_, text) => void warned.push(text), error() {} }
  const counters = () => {
    const question = Promise.withResolvers<DataPlaneCounters>()
    asked.push(question)
    return question.promise
  }
  const onCounted = (one: DataPlaneCounters | undefined) => void heard.push(one)
  const meter = createMeter({ dataPlane: { counters }, log, onCounted })
  const note = (one: DataPlaneCounters | undefined, now: number) =>
    meter.note({ tables: {} } as never, [], one, now)
  return { meter, asked, heard, warned, note }
}

test('it asks every second while something is on trial, every ten otherwise, and once at a time', () => {
  const { meter, asked, note } = rig()
  expect(meter.ask(false, 0)).toBe(Infinity)
  expect(asked).toHaveLength(1)
  meter.ask(true, 5_000)
  expect(asked).toHaveLength(1)
  note(noCounters(), 5_000)
  expect(meter.ask(false, 5_000)).toBe(10_000)
  expect(meter.ask(true, 5_000)).toBe(Infinity)
  expect(asked).toHaveLength(2)
  note(noCounters(), 5_010)
  expect(meter.ask(true, 5_020)).toBe(6_000)
  expect(asked).toHaveLength(2)
})

test('one that does not answer is asked again, and complained of once', async () => {
  const { meter, asked, heard, warned, note } = rig()
  for (const now of [0, 10_000, 20_000]) {
    meter.ask(false, now)
    asked.at(-1)?.reject(new Error('away'))
    await new Promise(setImmediate)
    note(heard.at(-1), now + 1)
  }
  expect(heard).toEqual([undefined, undefined, undefined])
  expect(warned).toHaveLength(1)
  expect(asked).toHaveLength(3)
})
