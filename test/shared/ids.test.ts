import { expect, test } from 'vitest'
import { machineIds } from '#shared/ids.io.ts'

test('S06: ids are UUIDv7 and grow, however fast they are made', () => {
  const ids = Array.from({ length: 20_000 }, () => machineIds.next())
  expect(ids).toEqual(ids.toSorted())
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
