// Limits over all loops: two columns of one buffer, and real threads that go for the same places.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import {
  clearColumn,
  createCountsBuffer,
  type FreedBell,
  growColumns,
  SharedCounts,
} from '#ctld/balancer/data-plane/loop/shared-counts.ts'

const FIXTURE = new URL('../../../fixtures/counting-loop.ts', import.meta.url)

test('a limit holds for all loops together, and none is no limit', () => {
  const { first, second } = twoLoops()
  expect([first.claim(7, 2), second.claim(7, 2), first.claim(7, 2), second.claim(7, 2)]).toEqual([
    true,
    true,
    false,
    false,
  ])
  expect([first.total(7), first.own(7), second.own(7)]).toEqual([2, 1, 1])
  expect(first.claim(7, 0)).toBe(true)
  first.release(7)
  first.release(7)
  expect(second.claim(7, 2)).toBe(true)
  expect(second.claim(8, 1)).toBe(true)
})

test('a loop that waits hears that a place is free; the one that frees it does not', () => {
  const { first, second, rung } = twoLoops()
  first.claim(3, 1)
  first.announceFreed(3)
  expect(rung).toEqual([])
  second.wait(3)
  first.wait(3)
  first.release(3)
  first.announceFreed(3)
  expect(rung).toEqual(['first rings 3'])
  second.waitNoMore(3)
  first.announceFreed(3)
  expect(rung).toHaveLength(1)
})

test('the column of a loop that died is given back, and nothing of it waits any more', () => {
  const { buffer, first, second, rung } = twoLoops()
  second.claim(5, 0)
  second.claim(16_383, 0)
  second.wait(5)
  first.claim(5, 0)
  clearColumn(buffer, 1)
  first.announceFreed(5)
  expect([first.total(5), first.total(16_383), rung]).toEqual([1, 0, []])
})

test('loops that come later are counted too, up to the 64th', () => {
  const { buffer, first } = twoLoops()
  growColumns(buffer, 64)
  const last = new SharedCounts({ buffer, column: 63, bell: deaf })
  last.wait(9)
  expect(last.claim(9, 1)).toBe(true)
  expect(first.claim(9, 1)).toBe(false)
  const { rung, first: ringing } = twoLoops(buffer)
  ringing.announceFreed(9)
  expect(rung).toEqual(['first rings 9'])
  expect(() => growColumns(buffer, 65)).toThrow('1 to 64 loops')
})

test('four threads that go for three places: never more than three, and no place is lost', async () => {
  const buffer = createCountsBuffer(4)
  const workers = [0, 1, 2, 3].map(
    (column) => new Worker(FIXTURE, { workerData: { buffer, column, rounds: 20_000, limit: 3 } }),
  )
  const told = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  const counts = new SharedCounts({ buffer, column: 0, bell: deaf })
  expect(told.map(({ most }) => most > 0 && most <= 3)).toEqual([true, true, true, true])
  expect(told.reduce((sum, { claimed }) => sum + claimed, 0)).toBeGreaterThan(20_000)
  expect(counts.total(0)).toBe(0)
  for (let place = 0; place < 3; place += 1) expect(counts.claim(0, 3)).toBe(true)
  expect(counts.claim(0, 3)).toBe(false)
})

const deaf: FreedBell = { ring() {}, onRing() {} }

function twoLoops(buffer = createCountsBuffer(2)) {
  const rung: string[] = []
  const bell = (name: string): FreedBell => ({
    ring: (slot) => rung.push(`${name} rings ${slot}`),
    onRing() {},
  })
  const first = new SharedCounts({ buffer, column: 0, bell: bell('first') })
  const second = new SharedCounts({ buffer, column: 1, bell: bell('second') })
  return { buffer, first, second, rung }
}
