// When an instance that left the table is drained, by what the loops say and when they say it.

import { expect, test } from 'vitest'
import { createSlots } from '#ctld/balancer/data-plane/supervisor/slots.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

test('each instance has a slot of its own, kept for as long as it is known', () => {
  const slots = createSlots(3)
  slots.apply(['a', 'b'])
  const { a, b } = slots.table()
  expect(new Set([a, b]).size).toBe(2)
  slots.posted('loop', 1, ['a', 'b'])
  slots.apply(['b', 'c'])
  expect(slots.table()).toMatchObject({ a, b })
  expect(slots.routed()).toEqual(['a', 'b', 'c'])
  expect(slots.emptied('loop', 'a', 2)).toEqual(['a'])
  slots.apply(['b', 'c', 'd'])
  expect(slots.table().d).toBe(a)
})

test('it is drained when every loop that had it says that it has no request for it', () => {
  const slots = createSlots(9)
  slots.apply(['a'])
  slots.posted('one', 1, ['a'])
  slots.posted('two', 1, ['a'])
  expect(slots.apply([])).toEqual([])
  expect(slots.emptied('one', 'a', 2)).toEqual([])
  expect(slots.emptied('one', 'a', 2)).toEqual([])
  expect(slots.gone('two')).toEqual(['a'])
  expect(slots.routed()).toEqual([])
})

test('what a loop said before it read the table that has the instance again does not count', () => {
  const slots = createSlots(9)
  slots.apply(['a'])
  slots.posted('one', 1, ['a'])
  slots.apply([])
  slots.posted('one', 2, [])
  slots.apply(['a'])
  slots.posted('one', 3, ['a'])
  expect(slots.emptied('one', 'a', 2)).toEqual([])
  slots.apply([])
  slots.posted('one', 4, [])
  expect(slots.emptied('one', 'a', 3)).toEqual([])
  expect(slots.emptied('one', 'a', 4)).toEqual(['a'])
})

test('an instance that no loop was given is drained as soon as it leaves the table', () => {
  const slots = createSlots(9)
  slots.apply(['a'])
  expect(slots.apply([])).toEqual(['a'])
})

test('what only the predecessor has is waited for, too', () => {
  const slots = createSlots(9)
  slots.apply(['a'])
  slots.posted('predecessor', -1, ['a', 'old'])
  expect(slots.routed()).toEqual(['a', 'old'])
  expect(slots.emptied('predecessor', 'old', 0)).toEqual(['old'])
  expect(slots.apply([])).toEqual([])
  expect(slots.gone('predecessor')).toEqual(['a'])
})

test('more instances than slots are refused, and nothing changes', () => {
  const slots = createSlots(2)
  slots.apply(['a', 'b'])
  slots.posted('one', 1, ['a', 'b'])
  expect(() => slots.apply(['c'])).toThrow('counts 2 instances at the most')
  expect(slots.routed()).toEqual(['a', 'b'])
  expect(slots.apply(['a', 'b'])).toEqual([])
})

test(
  'whatever comes in whatever order, no instance is drained while a loop has a request for it',
  forEachSeed(300, (random) => {
    const slots = createSlots(64)
    const names = ['a', 'b', 'c']
    const loops = ['one', 'two'].map((name) => ({
      name,
      read: 0,
      inbox: [] as { version: number; table: string[] }[],
      table: [] as string[],
      busy: new Set<string>(),
    }))
    let version = 0
    let table: string[] = []
    const isSafe = (drained: string[]) => {
      for (const instance of drained) {
        expect(table).not.toContain(instance)
        for (const loop of loops) expect(loop.busy.has(instance)).toBe(false)
      }
    }
    for (let step = 0; step < 80; step += 1) {
      const loop = random.pick(loops)
      if (random.chance(0.2)) {
        version += 1
        table = names.filter(() => random.chance(0.5))
        isSafe(slots.apply(table))
        for (const one of loops) {
          slots.posted(one.name, version, table)
          one.inbox.push({ version, table })
        }
      } else if (random.chance(0.4)) {
        const next = loop.inbox.shift()
        if (next === undefined) continue
        loop.read = next.version
        loop.table = next.table
      } else if (random.chance(0.5) && loop.table.length > 0) loop.busy.add(random.pick(loop.table))
      else loop.busy.clear()
      for (const name of names) {
        if (loop.table.includes(name) || loop.busy.has(name)) continue
        isSafe(slots.emptied(loop.name, name, loop.read))
      }
    }
  }),
)
